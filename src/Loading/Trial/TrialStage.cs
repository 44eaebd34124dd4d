namespace Moe.Plugins;

/// <summary>How far a plugin got in the process that it was tried in; each is a line of that process's output.</summary>
internal enum TrialStage
{
    /// <summary>The process has not begun.</summary>
    None = 0,

    Load,
    Activate,
    Probe,

    /// <summary>The thread pool must still take work.</summary>
    Pool,

    /// <summary>The console must still be written to.</summary>
    Console,

    /// <summary>
    /// Exceptions must still be thrown and caught: those who listen to all of them may throw one, and so on without end, and native code may have
    /// taken the signal that a null reference is.
    /// </summary>
    Throw,

    Dispose,

    /// <summary>What it left is collected: an exception of a finalizer ends the process.</summary>
    Collect,

    /// <summary>The process must end by itself: it does not while a foreground thread runs.</summary>
    End,

    /// <summary>The step before goes on, and the process is not suspended.</summary>
    Alive,

    /// <summary>The step before did not return in time.</summary>
    Hung,

    /// <summary>All of it is done, or an exception has ended it.</summary>
    Done,
}
