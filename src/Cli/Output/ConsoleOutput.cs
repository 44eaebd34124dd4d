using System.Globalization;
using System.Text;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>One of the process's streams: how wide it is, and that it cannot be written to as a sentence rather than as a crash.</summary>
/// <param name="inner">The stream.</param>
/// <param name="name">What people call it.</param>
/// <param name="isTerminal">Whether a person looks at it.</param>
/// <param name="width">Columns; null for what the environment says.</param>
internal sealed class ConsoleOutput(TextWriter inner, string name, bool isTerminal, int? width) : TextWriter(CultureInfo.InvariantCulture), IAnsiConsoleOutput
{
    /// <summary>Wide enough that nothing wraps where a program reads the output.</summary>
    private const int RedirectedWidth = 1000;

    /// <summary>Of a terminal that does not say how wide it is.</summary>
    private const int UsualWidth = 80;

    private const int Narrowest = 20;

    public TextWriter Writer => this;

    public bool IsTerminal => isTerminal;

    public int Width { get; } = width ?? FindWidth(isTerminal);

    public int Height => isTerminal ? Math.Max(Console.WindowHeight, 1) : int.MaxValue;

    public override Encoding Encoding => inner.Encoding;

    public override void Write(char value) => Guard(() => inner.Write(value));

    public override void Write(char[] buffer, int index, int count) => Guard(() => inner.Write(buffer, index, count));

    public override void Write(string? value) => Guard(() => inner.Write(value));

    public override void Flush() => Guard(inner.Flush);

    public void SetEncoding(Encoding encoding)
    {
        // The process's streams are UTF-8 already.
    }

    private static int FindWidth(bool isTerminal)
    {
        bool isSet = int.TryParse(Environment.GetEnvironmentVariable("COLUMNS"), NumberStyles.None, CultureInfo.InvariantCulture, out int columns);
        if (isSet && columns >= Narrowest)
        {
            return columns;
        }

        return !isTerminal ? RedirectedWidth : Console.WindowWidth >= Narrowest ? Console.WindowWidth : UsualWidth;
    }

    private void Guard(Action write)
    {
        try
        {
            write();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(ExitCode.BadInput, $"{name} cannot be written to: {exception.Message.TrimEnd('.')}.", exception);
        }
    }
}
