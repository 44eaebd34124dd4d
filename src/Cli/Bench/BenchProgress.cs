using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>Shows a benchmark's progress to a person at a terminal; a file or a program sees nothing of it.</summary>
internal sealed class BenchProgress : IBenchProgress
{
    private readonly ProgressContext? _context;
    private ProgressTask? _task;

    private BenchProgress(ProgressContext? context) => _context = context;

    public static T Run<T>(CommandConsole console, Func<IBenchProgress, T> work) => !console.Error.Profile.Out.IsTerminal
        ? work(new BenchProgress(null))
        : console.Error.Progress()
            .AutoClear(true)

            // No thread that draws while the clock runs: on a processor it would take part in what is measured.
            .AutoRefresh(false)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn())
            .Start(context => work(new BenchProgress(context)));

    public void Begin(string what, int steps)
    {
        _task?.StopTask();
        _task = _context?.AddTask(Markup.Escape(what), maxValue: steps);
        _context?.Refresh();
    }

    public void Step()
    {
        _task?.Increment(1);
        _context?.Refresh();
    }
}
