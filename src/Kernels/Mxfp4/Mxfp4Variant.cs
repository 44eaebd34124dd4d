namespace Moe.Plugins.Kernels;

/// <summary>Which of the MXFP4 products runs, and the most tokens of one of its tiles.</summary>
/// <param name="Kind">The kernels.</param>
/// <param name="Tokens">Tokens of a tile.</param>
public readonly record struct Mxfp4Variant(Mxfp4Kind Kind, int Tokens)
{
    /// <summary>All there are.</summary>
    public static IReadOnlyList<Mxfp4Variant> All { get; } =
    [
        new(Mxfp4Kind.Decode, 8),
        new(Mxfp4Kind.Decode, 16),
        new(Mxfp4Kind.Grouped, 64),
        new(Mxfp4Kind.Grouped, 128),
        new(Mxfp4Kind.Mma, 64),
    ];

    /// <summary>Kind and tokens, as settings name it: <c>decode8</c>, <c>grouped128</c>.</summary>
    public override string ToString() => $"{Kind.ToString().ToLowerInvariant()}{Tokens}";
}
