namespace Moe.Plugins;

/// <summary>How far a plugin got in the process that it was tried in; each is a line in the progress file.</summary>
internal enum TrialStage
{
    /// <summary>The process has not begun.</summary>
    None = 0,

    Load,
    Activate,
    Probe,
    Dispose,

    /// <summary>The step before did not return in time.</summary>
    Hung,

    /// <summary>All of it is done, or an exception has ended it.</summary>
    Done,
}
