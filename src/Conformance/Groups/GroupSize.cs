namespace Moe.Plugins.Conformance;

/// <summary>How large a group is that the kit makes.</summary>
/// <param name="Ranks">Its ranks.</param>
/// <param name="Width">Columns of what is summed.</param>
/// <param name="Type">Their type.</param>
internal readonly record struct GroupSize(int Ranks, int Width, MoeElementType Type)
{
    /// <summary>The most rows of a call.</summary>
    public const int MaxTokens = 40;

    /// <summary>The groups of the rules that look at results: as few as have every number of ranks that code may take apart, and both types.</summary>
    public static IReadOnlyList<GroupSize> All { get; } =
    [
        new(2, 2880, MoeElementType.BFloat16),
        new(3, 96, MoeElementType.Float32),
        new(4, 2880, MoeElementType.BFloat16),
        new(8, 96, MoeElementType.BFloat16),
    ];

    /// <summary>Of the rules that look at how a group ends.</summary>
    public static GroupSize Small { get; } = new(3, 96, MoeElementType.Float32);
}
