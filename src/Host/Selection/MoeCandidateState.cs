namespace Moe.Plugins;

/// <summary>How far a plugin got, on its way to being the backend of a layer, or how its way ended.</summary>
public enum MoeCandidateState
{
    /// <summary>It was found.</summary>
    Discovered = 0,

    /// <summary>Its metadata was read and fits this host.</summary>
    Inspected,

    /// <summary>Its folder was copied to a private one.</summary>
    Staged,

    /// <summary>Its main assembly was loaded.</summary>
    Loaded,

    /// <summary>Its backend was made.</summary>
    Activated,

    /// <summary>It can run the layer; another was chosen.</summary>
    Eligible,

    /// <summary>It was chosen.</summary>
    Selected,

    /// <summary>It cannot work here, or cannot run the layer, and says why.</summary>
    Rejected,

    /// <summary>Its code or its files failed.</summary>
    Failed,

    /// <summary>Its code did not return in time; it is not called again by this host.</summary>
    TimedOut,

    /// <summary>Its code ended a process, or hung in one that was started to try it. It is not loaded until it is released.</summary>
    Quarantined,
}
