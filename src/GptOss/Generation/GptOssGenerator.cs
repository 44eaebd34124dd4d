namespace Moe.Plugins.GptOss;

/// <summary>Continues one text, token by token.</summary>
public static class GptOssGenerator
{
    /// <summary>Reads a prompt and yields the tokens that follow it, each as soon as it is chosen. A stop token is yielded too, and is the last.</summary>
    /// <param name="model">The model.</param>
    /// <param name="sequence">The text so far; it holds the prompt and all but the last of the yielded tokens in the end.</param>
    /// <param name="prompt">What comes next in it, at least one token.</param>
    /// <param name="options">When it ends, and how tokens are chosen.</param>
    /// <param name="cancellationToken">Ends it within a token; what was yielded before counts.</param>
    /// <exception cref="MoeException">An option is out of range, the prompt is longer than the context, or a backend failed.</exception>
    public static IEnumerable<int> Generate(
        GptOssModel model,
        GptOssSequence sequence,
        IReadOnlyList<int> prompt,
        GptOssGeneration options,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(sequence);
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        return Run(model, sequence, prompt, options, cancellationToken);
    }

    private static IEnumerable<int> Run(
        GptOssModel model, GptOssSequence sequence, IReadOnlyList<int> prompt, GptOssGeneration options, CancellationToken cancellationToken)
    {
        var sampler = new Sampler(options.Sampling);
        int[] next = [.. prompt];
        for (int count = 0; count < options.MaxTokens; count++)
        {
            // The context is full: what was said stands, and the reason is that its length has ended.
            if (count > 0 && sequence.Length == sequence.MaxLength)
            {
                yield break;
            }

            int token = Choose(model, sequence, next, sampler, options, cancellationToken);
            yield return token;
            if (options.Stops.Contains(token))
            {
                yield break;
            }

            next = [token];
        }
    }

    private static int Choose(
        GptOssModel model, GptOssSequence sequence, int[] next, Sampler sampler, GptOssGeneration options, CancellationToken cancellationToken)
    {
        int token = 0;
        model.Choose([new GptOssInput { Sequence = sequence, Tokens = next }], new Span<int>(ref token), [sampler], options.Banned, cancellationToken);
        return token;
    }
}
