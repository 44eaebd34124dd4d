namespace Moe.Plugins.GptOss;

/// <summary>The last conversation's keys and values: the next one is computed from where the two part.</summary>
internal sealed class CachedText(GptOssModel model) : IDisposable
{
    private readonly List<int> _tokens = [];

    public GptOssSequence Sequence { get; } = model.CreateSequence();

    /// <summary>Keeps what a prompt shares with what is there, and forgets the rest.</summary>
    /// <returns>How many of the prompt's tokens need not be computed. One at least must be, so that there are logits.</returns>
    public int Reuse(IReadOnlyList<int> prompt)
    {
        int shared = 0;
        int most = Math.Min(Math.Min(_tokens.Count, Sequence.Length), prompt.Count - 1);
        while (shared < most && _tokens[shared] == prompt[shared])
        {
            shared++;
        }

        Sequence.Truncate(shared);
        _tokens.Clear();
        _tokens.AddRange(prompt);
        return shared;
    }

    /// <summary>Notes a token that was chosen, which the next step reads.</summary>
    public void Add(int token) => _tokens.Add(token);

    /// <summary>Forgets all: what is there was computed by a backend that is not the one to come.</summary>
    public void Clear() => Sequence.Truncate(0);

    public void Dispose() => Sequence.Dispose();
}
