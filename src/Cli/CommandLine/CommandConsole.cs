using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>Where a command writes: results on one stream, everything else on the other.</summary>
internal sealed class CommandConsole : IDisposable
{
    /// <summary>Wide enough that nothing wraps where a program reads the output.</summary>
    private const int RedirectedWidth = 1000;

    private readonly TextWriter _error;
    private bool _hasProgress;

    public CommandConsole(TextWriter output, TextWriter error)
    {
        Json = output;
        _error = error;
        Out = Create(output);
        Error = Create(error);
    }

    /// <summary>Standard output, for people.</summary>
    public IAnsiConsole Out { get; }

    /// <summary>Standard error, for people.</summary>
    public IAnsiConsole Error { get; }

    /// <summary>Standard output, for programs.</summary>
    public TextWriter Json { get; }

    /// <summary>Whether a person is there who could answer.</summary>
    public bool CanAsk => Out.Profile.Out.IsTerminal && !Console.IsInputRedirected;

    /// <summary>Shows how far a long load is, on one line that the next thing replaces; only a person at a terminal sees it.</summary>
    public IProgress<double>? Progress(string what) => Error.Profile.Out.IsTerminal ? new LineProgress(this, what) : null;

    /// <summary>Reports what ended the command.</summary>
    public void WriteError(string message)
    {
        ClearProgress();
        Error.MarkupLineInterpolated($"[red]error:[/] {message}");
    }

    /// <summary>Takes the progress line away.</summary>
    public void ClearProgress()
    {
        if (_hasProgress)
        {
            _error.Write($"\r{new string(' ', Error.Profile.Width - 1)}\r");
            _hasProgress = false;
        }
    }

    public void Dispose() => ClearProgress();

    private static IAnsiConsole Create(TextWriter writer)
    {
        // Spectre leaves colours away where NO_COLOR is set; that a file is no terminal it has to be told.
        var output = new AnsiConsoleOutput(writer);
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = output,
            Ansi = output.IsTerminal ? AnsiSupport.Detect : AnsiSupport.No,
        });
        if (!output.IsTerminal)
        {
            console.Profile.Width = RedirectedWidth;
        }

        return console;
    }

    private sealed class LineProgress(CommandConsole console, string what) : IProgress<double>
    {
        private int _shown = -1;

        public void Report(double value)
        {
            int percent = (int)Math.Clamp(value * 100, 0, 100);
            if (Interlocked.Exchange(ref _shown, percent) != percent)
            {
                console._hasProgress = true;
                console._error.Write($"\r{what} {percent,3} %");
            }
        }
    }
}
