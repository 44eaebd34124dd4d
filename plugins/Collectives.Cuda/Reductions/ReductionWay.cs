namespace Moe.Plugins.Collectives;

/// <summary>How the ranks' rows come together.</summary>
internal enum ReductionWay
{
    /// <summary>Every rank pushes its rows to all others, into slots that are emptied behind it (<c>push.cu</c>).</summary>
    Push,

    /// <summary>Each row has an owner that sums it and pushes the sum back (<c>two_shot.cu</c>).</summary>
    TwoShot,

    /// <summary>Every rank reads the others' rows, between two meetings (<c>pull.cu</c>).</summary>
    Pull,

    /// <summary>Each row has an owner that reads the others' parts, and whose sums the others read (<c>two_pull.cu</c>).</summary>
    TwoPull,
}
