namespace Moe.Plugins.Collectives;

/// <summary>How rows are gathered (<c>gather.cu</c>).</summary>
internal enum GatherWay
{
    /// <summary>Every rank pushes its rows to all others, a block a row.</summary>
    Push,

    /// <summary>Every rank reads the others' rows.</summary>
    Pull,

    /// <summary>Rows of a few bytes are pushed, a thread a piece of one, so that a block takes many at a time.</summary>
    Short,
}
