using System.Globalization;
using System.Text.Json;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>A line of `moe kernels`.</summary>
/// <param name="Backend">The backend's id.</param>
/// <param name="Report">What the compiler said.</param>
internal sealed record CompiledKernel(string Backend, MoeKernelReport Report)
{
    public static void WriteTable(IAnsiConsole console, IReadOnlyList<CompiledKernel> kernels)
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumns("backend", "kernel", "arch", "registers", "shared", "spills", "seconds");
        foreach (CompiledKernel kernel in kernels)
        {
            MoeKernelReport report = kernel.Report;
            string[] cells = report.Error is null
                ?
                [
                    Number(report.Registers), Number(report.SharedBytes), Number(report.SpillBytes),
                    report.Seconds == 0 ? "kept" : report.Seconds.ToString("0.0", CultureInfo.InvariantCulture),
                ]
                : ["failed", "", "", ""];
            table.AddRow([.. new[] { kernel.Backend, report.Kernel, report.Architecture }.Concat(cells).Select(Markup.Escape)]);
        }

        console.Write(table);
        foreach (string error in kernels.Select(kernel => kernel.Report.Error).OfType<string>())
        {
            console.WriteLine(error);
        }
    }

    public void WriteJson(Utf8JsonWriter writer)
    {
        writer.WriteString("backend", Backend);
        writer.WriteString("kernel", Report.Kernel);
        writer.WriteString("arch", Report.Architecture);
        writer.WriteNumber("registers", Report.Registers);
        writer.WriteNumber("shared_bytes", Report.SharedBytes);
        writer.WriteNumber("spill_bytes", Report.SpillBytes);
        writer.WriteNumber("seconds", Report.Seconds);
        writer.WriteString("error", Report.Error);
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
}
