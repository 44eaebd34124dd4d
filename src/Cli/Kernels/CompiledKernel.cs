using System.Globalization;
using System.Text.Json;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>A line of `moe kernels`.</summary>
/// <param name="Backend">The backend's id.</param>
/// <param name="Report">What the compiler said.</param>
internal sealed record CompiledKernel(string Backend, MoeKernelReport Report)
{
    public static void WriteText(IAnsiConsole console, IReadOnlyList<CompiledKernel> kernels)
    {
        foreach (var same in kernels.GroupBy(kernel => (kernel.Backend, kernel.Report.Architecture)))
        {
            console.Say($"[bold]{same.Key.Backend}[/], {same.Key.Architecture}");
            FittedTable table = new FittedTable()
                .Always("kernel", isNumber: false).Always("registers").Always("spills").Optional("shared").Optional("seconds");
            foreach (MoeKernelReport report in same.Select(kernel => kernel.Report))
            {
                table.AddRow(report.Error is null
                    ?
                    [
                        PlainConsole.Show(report.Kernel), Number(report.Registers), Number(report.SpillBytes), Number(report.SharedBytes),
                        report.Seconds == 0 ? "kept" : report.Seconds.ToString("0.0", CultureInfo.InvariantCulture),
                    ]
                    : [PlainConsole.Show(SourceOf(report)), "[red]failed[/]", "", "", ""]);
            }

            table.WriteTo(console);
        }

        // What the compiler lacks, it lacks for every kernel: the same message but for the name of the file.
        foreach (var same in kernels.Select(kernel => kernel.Report).Where(report => report.Error is not null)
                     .GroupBy(report => report.Error!.Replace(SourceOf(report), "", StringComparison.Ordinal)))
        {
            console.Say($"[red]failed:[/] {string.Join(", ", same.Select(SourceOf).Distinct())}");
            console.Write(new Text(PlainText.OfMessage(same.First().Error)));
            console.WriteLine();
        }
    }

    // A file that was not compiled stands for all that it was to give, whose names come after its own.
    private static string SourceOf(MoeKernelReport report) => report.Kernel.Split(' ')[0];

    public void WriteJson(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("backend", Backend);
        writer.WriteString("kernel", Report.Kernel);
        writer.WriteString("arch", Report.Architecture);
        writer.WriteNumber("registers", Report.Registers);
        writer.WriteNumber("shared_bytes", Report.SharedBytes);
        writer.WriteNumber("spill_bytes", Report.SpillBytes);
        writer.WriteNumber("seconds", Report.Seconds);
        writer.WriteString("error", Report.Error);
        writer.WriteEndObject();
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
}
