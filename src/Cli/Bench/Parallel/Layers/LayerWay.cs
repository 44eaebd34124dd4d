namespace Moe.Plugins.Cli;

/// <summary>How a part of a layer is run up to the norm behind it.</summary>
internal enum LayerWay
{
    /// <summary>Pad, forward, all-reduce as wide as padded, slice, add and norm.</summary>
    Padded,

    /// <summary>Forward without padding, all-reduce, add and norm.</summary>
    Skipping,

    /// <summary>Forward without padding, and one kernel that reduces, adds and norms.</summary>
    Fused,
}
