using System.Text.Json;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>Where a command writes: results on one stream, everything else on the other.</summary>
internal sealed class CommandConsole : IDisposable
{
    private readonly ConsoleOutput _output;
    private readonly ConsoleOutput _error;
    private ProgressLine? _progress;

    /// <summary>Writes to streams that are no terminals.</summary>
    /// <param name="output">Standard output.</param>
    /// <param name="error">Standard error.</param>
    /// <param name="width">Columns of both; null for what the environment says.</param>
    public CommandConsole(TextWriter output, TextWriter error, int? width = null)
        : this(new ConsoleOutput(output, "standard output", isTerminal: false, width), new ConsoleOutput(error, "standard error", isTerminal: false, width))
    {
    }

    private CommandConsole(ConsoleOutput output, ConsoleOutput error)
    {
        _output = output;
        _error = error;
        Out = Create(output);
        Error = Create(error);
    }

    /// <summary>Standard output, for people.</summary>
    public IAnsiConsole Out { get; }

    /// <summary>Standard error, for people.</summary>
    public IAnsiConsole Error { get; }

    /// <summary>Standard output, as it is.</summary>
    public TextWriter Plain => _output;

    /// <summary>Whether results are JSON objects rather than text.</summary>
    public bool AsJson { get; set; }

    /// <summary>Whether each JSON object stands on a line of its own, since others follow.</summary>
    public bool AsLines { get; set; }

    /// <summary>Whether a thread still runs code of a plugin's that did not return: the process has to end without it.</summary>
    public bool HoldsStrangers { get; set; }

    /// <summary>Whether a person is there who could answer.</summary>
    public bool CanAsk => _output.IsTerminal && !Console.IsInputRedirected && !AsJson;

    /// <summary>The console of this process.</summary>
    public static CommandConsole OfProcess() => new(
        new ConsoleOutput(Console.Out, "standard output", !Console.IsOutputRedirected, width: null),
        new ConsoleOutput(Console.Error, "standard error", !Console.IsErrorRedirected, width: null));

    /// <summary>Writes a command's result, for a program or for a person.</summary>
    public void Write(Action<Utf8JsonWriter> json, Action<IAnsiConsole> text)
    {
        _progress?.Clear();
        if (AsJson)
        {
            JsonText.WriteObject(_output, json, isIndented: !AsLines);
        }
        else
        {
            text(Out);
        }
    }

    /// <summary>Shows how far long work is, on one line that the next thing replaces; only a person at a terminal sees it.</summary>
    public ProgressLine BeginProgress() => _progress = new ProgressLine(_error, _error.IsTerminal);

    /// <summary>Says something that a person should know, beside the result.</summary>
    public void WriteWarning(string message)
    {
        _progress?.Clear();
        Error.Say($"[yellow]warning:[/] {message}");
    }

    /// <summary>Reports what ended the command; for a program as the object that the result would have been.</summary>
    /// <param name="exitCode">What the process ends with.</param>
    /// <param name="message">Why.</param>
    /// <param name="partial">Writes what was found before the end; null for nothing.</param>
    public void WriteError(int exitCode, string message, Action<Utf8JsonWriter>? partial = null)
    {
        TryWrite(() =>
        {
            _progress?.Clear();
            Error.Write(new Markup($"[red]error:[/] {Markup.Escape(PlainText.OfMessage(message))}"));
            Error.WriteLine();
        });
        if (AsJson)
        {
            TryWrite(() => JsonText.WriteObject(
                _output,
                writer =>
                {
                    partial?.Invoke(writer);
                    writer.WriteString("error", message);
                    writer.WriteNumber("exit_code", exitCode);
                },
                isIndented: !AsLines));
        }
    }

    public void Dispose() => TryWrite(() => _progress?.Clear());

    // What ended the command may be that one of the streams is full or closed.
    private static void TryWrite(Action write)
    {
        try
        {
            write();
        }
        catch (CommandException)
        {
            // There is nobody left to be told; the exit code says it.
        }
    }

    private static IAnsiConsole Create(ConsoleOutput output)
    {
        // Spectre leaves colours away where NO_COLOR is set; that a file is no terminal it has to be told.
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = output,
            Ansi = output.IsTerminal ? AnsiSupport.Detect : AnsiSupport.No,
        });
        console.Profile.Width = output.Width;
        console.Pipeline.Attach(new TrailingSpaces());
        return console;
    }
}
