using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>Commands that compute rather than wait.</summary>
internal static class ComputingCommand
{
    /// <summary>Sets the action, off the caller's thread: so Ctrl+C can be heard.</summary>
    public static void SetComputation(this Command command, Func<ParseResult, CancellationToken, Task<int>> action) =>
        command.SetAction((result, cancellationToken) => Task.Run(() => action(result, cancellationToken), cancellationToken));
}
