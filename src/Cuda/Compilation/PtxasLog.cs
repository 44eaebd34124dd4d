using System.Globalization;
using System.Text.RegularExpressions;

namespace Moe.Plugins.Cuda;

/// <summary>
/// Reads what <c>ptxas -v</c> prints about each kernel: a line that names it, one with its stack frame and spills, and one with
/// its registers and shared memory.
/// </summary>
internal static partial class PtxasLog
{
    internal static IReadOnlyList<KernelReport> Parse(string log)
    {
        List<KernelReport> reports = [];
        string? properties = null;
        foreach (string line in log.Split('\n'))
        {
            if (Entry().Match(line) is { Success: true } entry)
            {
                reports.Add(new KernelReport(entry.Groups["name"].Value, 0, 0, 0, 0, 0));
                properties = entry.Groups["name"].Value;
            }
            else if (Properties().Match(line) is { Success: true } named)
            {
                properties = named.Groups["name"].Value;
            }
            else if (reports.Count > 0)
            {
                reports[^1] = Read(reports[^1], line, properties == reports[^1].Name);
            }
        }

        return reports;
    }

    // A kernel's functions that were not inlined have lines of their own; only the frame that is the kernel's counts as its.
    private static KernelReport Read(KernelReport report, string line, bool isOwnFrame)
    {
        if (isOwnFrame && Frame().Match(line) is { Success: true } frame)
        {
            return report with
            {
                StackBytes = Number(frame, "stack"),
                SpillStoreBytes = Number(frame, "stores"),
                SpillLoadBytes = Number(frame, "loads"),
            };
        }

        if (Registers().Match(line) is { Success: true } used)
        {
            return report with
            {
                Registers = Number(used, "registers"),
                SharedBytes = Shared().Match(line) is { Success: true } shared ? Number(shared, "shared") : 0,
            };
        }

        return report;
    }

    private static int Number(Match match, string group) => int.Parse(match.Groups[group].ValueSpan, CultureInfo.InvariantCulture);

    [GeneratedRegex("Compiling entry function '(?<name>[^']+)'", RegexOptions.CultureInvariant)]
    private static partial Regex Entry();

    [GeneratedRegex(@"Function properties for (?<name>\S+)", RegexOptions.CultureInvariant)]
    private static partial Regex Properties();

    [GeneratedRegex(
        @"(?<stack>\d+) bytes stack frame, (?<stores>\d+) bytes spill stores, (?<loads>\d+) bytes spill loads",
        RegexOptions.CultureInvariant)]
    private static partial Regex Frame();

    [GeneratedRegex(@"Used (?<registers>\d+) registers", RegexOptions.CultureInvariant)]
    private static partial Regex Registers();

    [GeneratedRegex(@"(?<shared>\d+) bytes smem", RegexOptions.CultureInvariant)]
    private static partial Regex Shared();
}
