using System.Text.RegularExpressions;
using Spectre.Console;

namespace Moe.Plugins.Cli.Tests;

/// <summary>At every width, nothing is wider, no number or header is broken, and no line ends in spaces.</summary>
public sealed partial class WidthTests : IDisposable
{
    private static readonly Lazy<Task<BenchResult>> Measured = new(Measure);

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<int, string> Cases
    {
        get
        {
            var cases = new TheoryData<int, string>();
            foreach (int width in (int[])[40, 80, 100, 120])
            {
                cases.Add(width, "backends --explain");
                cases.Add(width, "bench compare BEFORE AFTER");
                cases.Add(width, "inspect GOLDEN/pad-hidden.safetensors");
                cases.Add(width, "run");
                cases.Add(width, "bench --help");
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_line_fits(int width, string command)
    {
        BenchRow row = Results.Row(16384, 123456.7, spread: 1234.5, backend: "Mxfp4.Marlin", shape: "gpt-oss-120b");
        Results.Of(row).Save(_folder.File("a.json"));
        Results.Of(row with { Microseconds = 234567.8 }).Save(_folder.File("b.json"));
        string[] words =
        [
            .. command
                .Replace("GOLDEN", Path.Combine(AppContext.BaseDirectory, "golden"), StringComparison.Ordinal)
                .Replace("BEFORE", _folder.File("a.json"), StringComparison.Ordinal)
                .Replace("AFTER", _folder.File("b.json"), StringComparison.Ordinal)
                .Split(' '),
        ];
        string[] lines = (await Cli.RunAt(width, words)).Output.TrimEnd('\n').Split('\n');

        CheckLines(lines, width);
        if (command.StartsWith("bench compare", StringComparison.Ordinal))
        {
            string whole = string.Join('\n', lines);
            Assert.All(["123456.7", "234567.8", "+90.0 %", "Mxfp4.Marlin", "16384", "A µs", "B µs", "worse"], part => Assert.Contains(part, whole, StringComparison.Ordinal));
        }
    }

    [Theory]
    [InlineData(40)]
    [InlineData(80)]
    [InlineData(100)]
    [InlineData(120)]
    public async Task A_line_of_what_was_measured_fits(int width) => CheckLines(AsText(await Measured.Value, width).TrimEnd('\n').Split('\n'), width);

    [Fact]
    public async Task Columns_are_left_out_and_named_where_there_is_no_room()
    {
        BenchResult result = await Measured.Value;
        string narrow = AsText(result, 80);
        Assert.Matches(LeftOut(), narrow);
        Assert.Matches(Header(), narrow);
        Assert.DoesNotContain("Left out", AsText(result, 200), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_reason_is_given_once()
    {
        Cli backends = await Cli.Run("backends");
        Assert.SkipWhen(!backends.Output.Contains("CUDA is not available", StringComparison.Ordinal), "There is a GPU here.");
        Assert.Equal(1, Regex.Count(backends.Output, "CUDA is not available"));
        Cli bench = await Cli.Run("bench", "--shape", "8,96,64,2", "--tokens", "1", "--seconds", "0.01");
        Assert.Equal(1, Regex.Count(bench.Output, "CUDA is not available"));
    }

    [Fact]
    public void A_reason_that_differs_in_its_number_is_given_once()
    {
        string text = Written(200, console => HeldBackText.Write(
            console, [("a", "2 others, 1.7 busy"), ("b", null), ("c", "2 others, 1.25 busy"), ("d", "2 others, 10 busy"), ("e", "hot")]));
        Assert.Equal("held back (2 others, 1.25 to 10 busy): a, c, d\nheld back (hot): e\n", text);
    }

    [Fact]
    public void A_column_left_out_is_told_from_others_of_its_name()
    {
        FittedTable table = new FittedTable().Always("a µs").Optional("±").Always("b µs").Optional("±").Optional("rows");
        table.AddRow("1", "2", "3", "4", "5");
        Assert.Contains("20 columns wide: ± of b µs, rows.", Regex.Replace(Written(20, table.WriteTo), @"\s+", " "), StringComparison.Ordinal);
    }

    /// <summary>One run for all widths: it measures the processor's ceilings.</summary>
    private static async Task<BenchResult> Measure()
    {
        using var folder = new TemporaryFolder();
        string file = folder.File("result.json");
        Cli bench = await Cli.Run("bench", "--backend", "Cpu", "--shape", "8,96,64,2", "--tokens", "1,3", "--seconds", "0.01", "--output", file);
        Assert.True(bench.ExitCode == 0, bench.Error);
        return BenchResult.Load(file);
    }

    private static string AsText(BenchResult result, int width)
    {
        using var output = new StringWriter();
        using var console = new CommandConsole(output, TextWriter.Null, width);
        BenchTable.Write(console.Out, result);
        return output.ToString();
    }

    private static void CheckLines(string[] lines, int width)
    {
        Assert.All(lines, line => Assert.InRange(line.Length, 0, width));
        Assert.All(lines, line => Assert.Equal(line.TrimEnd(), line));
    }

    private static string Written(int width, Action<IAnsiConsole> write)
    {
        using var writer = new StringWriter { NewLine = "\n" };
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(writer) });
        console.Profile.Width = width;
        write(console);
        return writer.ToString();
    }

    public void Dispose() => _folder.Dispose();

    [GeneratedRegex("Left out, since the line is 80 columns wide:[^.]*workspace")]
    private static partial Regex LeftOut();

    [GeneratedRegex("backend +tokens +µs +± +floor µs +÷ floor .*error\n")]
    private static partial Regex Header();
}
