namespace Moe.Plugins.Cli;

/// <summary>
/// How far long work is: a line at a terminal that is written over, and never goes back. Nothing draws while nobody reports, so that on a
/// processor it takes no part in what is measured.
/// </summary>
internal sealed class ProgressLine(ConsoleOutput terminal, bool isShown) : IProgress<double>
{
    private readonly Lock _lock = new();
    private string _what = "";
    private int _percent;
    private double _done;
    private double _steps = 1;
    private string _shown = "";

    /// <summary>Says of how many steps the work is; each is as much as the others.</summary>
    public void Plan(int steps) => _steps = Math.Max(steps, 1);

    /// <summary>The next step begins, and is one of <paramref name="what"/>.</summary>
    public void Begin(string what)
    {
        lock (_lock)
        {
            _what = PlainText.Of(what);
            Show(0);
        }
    }

    /// <summary>A step is done.</summary>
    public void Step()
    {
        lock (_lock)
        {
            _done++;
            Show(0);
        }
    }

    /// <summary>Tells how much of the present step is done, 0 to 1.</summary>
    public void Report(double value)
    {
        lock (_lock)
        {
            Show(double.IsFinite(value) ? Math.Clamp(value, 0, 1) : 0);
        }
    }

    /// <summary>Takes the line away; the next report shows it again.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            if (_shown.Length > 0)
            {
                terminal.Write($"\r{new string(' ', _shown.Length)}\r");
                terminal.Flush();
                _shown = "";
            }
        }
    }

    private void Show(double part)
    {
        _percent = Math.Max(_percent, (int)Math.Min(100 * (_done + part) / _steps, 100));
        string line = PlainText.Shorten($"{_percent,3} %  {_what}", terminal.Width - 1);
        if (isShown && line != _shown)
        {
            terminal.Write($"\r{line.PadRight(_shown.Length)}");
            terminal.Flush();
            _shown = line;
        }
    }
}
