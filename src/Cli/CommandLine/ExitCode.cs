namespace Moe.Plugins.Cli;

/// <summary>What the program's exit codes mean; `moe --help` lists them.</summary>
internal static class ExitCode
{
    /// <summary>It ran, and what was checked is right.</summary>
    public const int Ok = 0;

    /// <summary>It ran, and the result is wrong.</summary>
    public const int Wrong = 1;

    /// <summary>An option, a file or a setting is wrong.</summary>
    public const int BadInput = 2;

    /// <summary>No backend can run the layer here, or the one that was named cannot or is not there.</summary>
    public const int NoBackend = 3;

    /// <summary>The backend failed while it loaded or ran the layer.</summary>
    public const int Failed = 4;

    /// <summary>The device is held back, so that figures would mean nothing.</summary>
    public const int Throttled = 5;

    /// <summary>Interrupted, as shells report it.</summary>
    public const int Interrupted = 130;
}
