namespace Moe.Plugins;

/// <summary>Which plugins a host loads.</summary>
public enum MoeTrust
{
    /// <summary>
    /// Every one that lies in a plugin folder: for development, and where nobody else can write there. The log warns at each start.
    /// </summary>
    Any = 0,

    /// <summary>
    /// Only those that the host's lock file names, with exactly the files that it lists; from folders that nobody else can write.
    /// </summary>
    Pinned,

    /// <summary>The same, and the lock file must be signed with one of the host's keys.</summary>
    Signed,
}
