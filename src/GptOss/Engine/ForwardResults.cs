namespace Moe.Plugins.GptOss;

/// <summary>What is wanted of a forward for the tokens that ask: logits, the next token, or both. Where a span is empty it is not wanted.</summary>
internal readonly ref struct ForwardResults
{
    /// <summary>[rows, vocabulary].</summary>
    public Span<float> Logits { get; init; }

    /// <summary>[rows], the token that comes next.</summary>
    public Span<int> Next { get; init; }

    /// <summary>[rows], how it is chosen; empty for the likeliest one.</summary>
    public ReadOnlySpan<Sampler> Samplers { get; init; }

    /// <summary>Tokens that are never chosen.</summary>
    public IReadOnlyCollection<int> Banned { get; init; }

    /// <summary>How a row's token is chosen.</summary>
    public Sampler SamplerOf(int row) => Samplers.IsEmpty ? Sampler.Greedy : Samplers[row];
}
