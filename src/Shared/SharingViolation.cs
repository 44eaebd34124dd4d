namespace Moe.Plugins;

/// <summary>Whether a file could not be opened because another process has it.</summary>
internal static class SharingViolation
{
    /// <summary>.NET reports a lock that is held by the errno of <c>flock(2)</c>, EWOULDBLOCK on Linux and on macOS, or by Windows' code.</summary>
    public static bool Is(IOException exception) => exception.HResult is 11 or 35 or unchecked((int)0x80070020) or unchecked((int)0x80070021);
}
