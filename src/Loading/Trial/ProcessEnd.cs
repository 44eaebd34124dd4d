using System.Globalization;

namespace Moe.Plugins;

/// <summary>Says in words how a process ended.</summary>
internal static class ProcessEnd
{
    /// <summary>.NET reports a process that a signal ended as 128 and the signal's number, as shells do.</summary>
    private const int SignalBase = 128;

    private const int Abort = 6;

    /// <summary>The last signal's number (signal(7)).</summary>
    private const int LastSignal = 64;

    /// <summary>
    /// Signals that code brings on itself: ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS (signal(7), the numbers that all Linux architectures share). All others
    /// that end a process come from people, service managers, timers and limits, such as XCPU and XFSZ.
    /// </summary>
    private static readonly int[] OwnFaults = [4, 5, Abort, 7, 8, 11, 31];

    /// <summary>What Windows ends a process with after Ctrl+C: STATUS_CONTROL_C_EXIT.</summary>
    private const int ControlC = unchecked((int)0xC000013A);

    /// <summary>Whether somebody else may have ended the process: its code is not held to account for that.</summary>
    public static bool IsFromOutside(int exitCode) =>
        exitCode == ControlC || (exitCode is > SignalBase and <= SignalBase + LastSignal && !OwnFaults.Contains(exitCode - SignalBase));

    /// <summary>What follows "it ..." in a sentence.</summary>
    /// <param name="exitCode">The exit code.</param>
    /// <param name="error">The beginning of what it wrote to standard error.</param>
    public static string Describe(int exitCode, string error)
    {
        string firstLine = error.Split('\n').Select(static line => line.Trim()).FirstOrDefault(static line => line.Length != 0) ?? "";
        if (firstLine.StartsWith("Stack overflow", StringComparison.Ordinal))
        {
            return "overflowed the stack";
        }

        // Windows has no signals: an exception that nobody handles is an exit code such as 0xC0000005.
        string how = exitCode > SignalBase && NameOf(exitCode - SignalBase) is { } signal
            ? $"died of {signal}"
            : string.Create(CultureInfo.InvariantCulture, $"ended the process with exit code {exitCode}");
        return firstLine.Length == 0 || exitCode - SignalBase != Abort ? how : $"{how}: {firstLine}";
    }

    // signal(7), the numbers that all Linux architectures share.
    private static string? NameOf(int signal) => signal switch
    {
        1 => "SIGHUP (its terminal was closed)",
        2 => "SIGINT (Ctrl+C)",
        3 => "SIGQUIT (asked to end from outside)",
        4 => "SIGILL (an instruction that this processor does not have)",
        Abort => "SIGABRT (abort)",
        7 => "SIGBUS (a memory access beyond a file's end)",
        8 => "SIGFPE (a division by zero in native code)",
        9 => "SIGKILL (killed from outside, perhaps for its memory)",
        11 => "SIGSEGV (an invalid memory access)",
        15 => "SIGTERM (asked to end from outside)",
        24 => "SIGXCPU (its limit of processor time)",
        25 => "SIGXFSZ (the limit of a file's size)",
        _ => null,
    };
}
