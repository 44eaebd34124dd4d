namespace Moe.Plugins;

/// <summary>Where a plugin whose content was not tried on this machine before first runs.</summary>
public enum MoeTrialMode
{
    /// <summary>
    /// In a process of its own, with a time limit: what ends or hangs that process never reaches this one. The verdict is kept for the user by
    /// the content's hash, so that it is done once.
    /// </summary>
    Child = 0,

    /// <summary>
    /// In this process. A plugin that ends the process while its backend is made is quarantined at the next start.
    /// </summary>
    InProcess,
}
