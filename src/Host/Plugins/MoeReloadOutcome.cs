namespace Moe.Plugins;

/// <summary>What became of a reload.</summary>
public enum MoeReloadOutcome
{
    /// <summary>The folder holds what is loaded already: nothing was done.</summary>
    Unchanged = 0,

    /// <summary>New layers use what the folder holds now.</summary>
    Replaced,

    /// <summary>What the folder holds cannot be used. The version that was active before still is; where there was none, none is.</summary>
    Kept,
}
