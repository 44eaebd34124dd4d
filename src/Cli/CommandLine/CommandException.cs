using System.Text.Json;

namespace Moe.Plugins.Cli;

/// <summary>Ends a command with a message and an exit code.</summary>
internal sealed class CommandException(int exitCode, string message, Exception? innerException = null) : Exception(message, innerException)
{
    public int ExitCode { get; } = exitCode;

    /// <summary>Writes what was found before the end, for a program; null for nothing.</summary>
    public Action<Utf8JsonWriter>? Partial { get; init; }
}
