namespace Moe.Plugins.GptOss;

/// <summary>Makes one list of tokens of a batch, and room for them in the caches.</summary>
internal static class BatchReader
{
    /// <exception cref="ArgumentException">The batch is none.</exception>
    /// <exception cref="MoeException">A text would be longer than the context, or there is no memory for it.</exception>
    public static List<BatchToken> Read(GptOssModel model, IReadOnlyList<GptOssInput> inputs)
    {
        var seen = new HashSet<GptOssSequence>();
        var tokens = new List<BatchToken>();
        int row = 0;
        foreach (GptOssInput input in inputs)
        {
            if (input.Sequence.Model != model || !seen.Add(input.Sequence))
            {
                throw new ArgumentException("A sequence is another model's, or stands in the batch twice.");
            }

            if (input.Tokens.IsEmpty)
            {
                throw new ArgumentException("An input has no tokens; at least one is expected.");
            }

            input.Sequence.Reserve(input.Sequence.Length + input.Tokens.Length);
            for (int i = 0; i < input.Tokens.Length; i++)
            {
                int id = input.Tokens.Span[i];
                if ((uint)id >= (uint)model.Config.VocabularySize)
                {
                    throw new ArgumentException($"Token {id} is not in the vocabulary; 0 to {model.Config.VocabularySize - 1} is expected.");
                }

                bool asks = input.WantsAllLogits || i == input.Tokens.Length - 1;
                tokens.Add(new BatchToken(id, input.Sequence, input.Sequence.Length + i, asks ? row++ : -1));
            }
        }

        return tokens;
    }
}
