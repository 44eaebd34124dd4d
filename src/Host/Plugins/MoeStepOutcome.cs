namespace Moe.Plugins;

/// <summary>How a step with a plugin ended.</summary>
public enum MoeStepOutcome
{
    /// <summary>Well.</summary>
    Passed = 0,

    /// <summary>The plugin was refused: it cannot work here.</summary>
    Refused,

    /// <summary>The plugin's code or its files failed.</summary>
    Failed,

    /// <summary>The plugin's code did not return in time.</summary>
    TimedOut,

    /// <summary>The plugin's code ended the process that it was tried in, or never came back; it is not loaded until it is released.</summary>
    Quarantined,
}
