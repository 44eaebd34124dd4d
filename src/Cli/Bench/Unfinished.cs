using System.Text.Json;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>Runs a measurement whose rows are worth having even where something ends it early.</summary>
internal static class Unfinished
{
    /// <summary>Runs it.</summary>
    /// <param name="console">Who sees the rows of a measurement that ends early.</param>
    /// <param name="progress">How far it is; cleared in the end.</param>
    /// <param name="run">The measurement.</param>
    /// <param name="measured">What was measured so far; null for nothing.</param>
    /// <param name="json">Writes that for a program.</param>
    /// <param name="text">Writes that for a person.</param>
    /// <exception cref="CommandException">It ended early.</exception>
    public static T Run<T>(
        CommandConsole console,
        ProgressLine progress,
        Func<ProgressLine, T> run,
        Func<T?> measured,
        Action<T, Utf8JsonWriter> json,
        Action<T, IAnsiConsole> text)
        where T : class
    {
        try
        {
            return run(progress);
        }
        catch (Exception exception) when (measured() is not null)
        {
            T rows = measured()!;
            (int exitCode, string message) = MoeCommandLine.Explain(exception);
            if (!console.AsJson)
            {
                progress.Clear();
                text(rows, console.Out);
            }

            throw new CommandException(exitCode, message, exception) { Partial = writer => json(rows, writer) };
        }
        finally
        {
            progress.Clear();
        }
    }
}
