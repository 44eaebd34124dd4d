using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;

namespace Moe.Plugins.GptOss;

/// <summary>
/// Answers chats: thinking as <see cref="TextReasoningContent"/>, calls of tools as <see cref="FunctionCallContent"/>, what comes before them and
/// the answer as <see cref="TextContent"/>, the usage at the end.
/// </summary>
/// <remarks>
/// Thread-safe: requests that come together are answered one after another. A plugin that was reloaded runs from the next answer on. What two
/// requests in a row have in common is computed once. Disposing it leaves the model alone. Of <see cref="ChatOptions.AdditionalProperties"/> it reads
/// <c>min_p</c> (double) and <c>ignore_eos</c> (bool: goes on after stop tokens, to measure with). Each update's raw representation is its token.
/// </remarks>
public sealed class GptOssChatClient : IChatClient
{
    private readonly GptOssModel _model;
    private readonly GptOssTokenizer _tokenizer;
    private readonly GptOssChatOptions _options;
    private readonly int[] _banned;
    private readonly ChatClientMetadata _metadata;
    private readonly CachedText _text;
    private readonly SemaphoreSlim _turn = new(1);

    /// <summary>Makes a client.</summary>
    /// <param name="model">The model; the caller disposes it, after the client.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="options">What is said of every chat; null for the defaults.</param>
    public GptOssChatClient(GptOssModel model, GptOssTokenizer tokenizer, GptOssChatOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(tokenizer);
        _model = model;
        _tokenizer = tokenizer;
        _options = options ?? new GptOssChatOptions();
        ArgumentNullException.ThrowIfNull(_options.Sampling, $"{nameof(options)}.{nameof(options.Sampling)}");
        _banned = [.. Enumerable.Range(0, model.Config.VocabularySize).Where(tokenizer.IsReserved)];
        _metadata = new ChatClientMetadata("gpt-oss", providerUri: null, model.Name);
        _text = new CachedText(model);
    }

    /// <inheritdoc/>
    public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

    /// <inheritdoc/>
    /// <remarks><see cref="ChatOptions.StopSequences"/> end an answer before the first of them in its text; thinking and calls are not searched.</remarks>
    /// <exception cref="MoeException">The chat is longer than the context, an option is out of range, or a backend failed.</exception>
    /// <exception cref="NotSupportedException">A message has something else than text, thinking, calls and results.</exception>
    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);

        // The caller may change both while the request waits for its turn.
        ChatMessage[] own = [.. messages];
        ArgumentCheck.ThrowIfAnyNull(own, nameof(messages));
        return AnswerAsync(own, options?.Clone(), cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(ChatClientMetadata) ? _metadata
            : ((object[])[this, _model, _tokenizer]).FirstOrDefault(serviceType.IsInstanceOfType);
    }

    /// <summary>Frees the last chat's keys and values. Waits for an answer that is under way.</summary>
    public void Dispose()
    {
        _turn.Wait();
        _text.Dispose();
        _turn.Release();
    }

    private async IAsyncEnumerable<ChatResponseUpdate> AnswerAsync(
        ChatMessage[] messages, ChatOptions? options, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var writer = new HarmonyWriter(_tokenizer);
        ChatConversation.Read(messages, options, _options.Today?.Invoke()).ForEach(writer.Write);
        var answer = new ChatAnswer(_tokenizer, _model.Name, options);
        string? recipient = ChatConversation.RequiredRecipient(options);
        writer.BeginAnswer(recipient is null ? null : HarmonyChannel.Commentary, recipient);
        IReadOnlyList<int> prompt = writer.Tokens;
        var generation = new GptOssGeneration
        {
            MaxTokens = options?.MaxOutputTokens ?? int.MaxValue,
            Stops = IgnoresStops(options) ? [] : [.. _tokenizer.Harmony.Stops],
            Banned = _banned,
            Sampling = SamplingOf(options),
        };

        await _turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            // Computing takes long: never on the thread that asks.
            if (await Task.Run(() => _model.RefreshExperts(cancellationToken), cancellationToken).ConfigureAwait(false) > 0)
            {
                _text.Clear();
            }

            int cached = _text.Reuse(prompt);
            answer.Begin(prompt.Skip(LastStart(prompt) + 1));
            using IEnumerator<int> tokens = GptOssGenerator.Generate(_model, _text.Sequence, [.. prompt.Skip(cached)], generation, cancellationToken).GetEnumerator();
            while (await Task.Run(tokens.MoveNext, cancellationToken).ConfigureAwait(false))
            {
                _text.Add(tokens.Current);
                yield return answer.Add(tokens.Current);
                if (answer.HasEnded)
                {
                    break;
                }
            }

            foreach (ChatResponseUpdate update in answer.End(prompt.Count, cached))
            {
                yield return update;
            }
        }
        finally
        {
            _turn.Release();
        }
    }

    private static bool IgnoresStops(ChatOptions? options) => options?.AdditionalProperties?.TryGetValue("ignore_eos", out bool ignores) == true && ignores;

    private int LastStart(IReadOnlyList<int> prompt)
    {
        int last = prompt.Count - 1;
        while (prompt[last] != _tokenizer.Harmony.Start)
        {
            last--;
        }

        return last;
    }

    private GptOssSampling SamplingOf(ChatOptions? options) => new()
    {
        Temperature = options?.Temperature ?? _options.Sampling.Temperature,
        TopP = options?.TopP ?? _options.Sampling.TopP,
        MinP = options?.AdditionalProperties?.TryGetValue("min_p", out double minP) == true ? minP : _options.Sampling.MinP,
        Seed = options?.Seed ?? _options.Sampling.Seed,
    };
}
