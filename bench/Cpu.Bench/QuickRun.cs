using System.Diagnostics;
using System.Globalization;

namespace Moe.Plugins.Cpu.Bench;

/// <summary>Half a minute: the machine's ceilings, and how near to them the layer comes.</summary>
internal static class QuickRun
{
    private const int MinRuns = 7;
    private const double SecondsEach = 1.0;

    /// <summary>Measures and prints.</summary>
    /// <param name="sizes">Numbers of tokens; none for 1, 2, 4 … 128.</param>
    public static void Run(string[] sizes)
    {
        int[] batches = sizes.Length == 0
            ? [1, 2, 4, 8, 16, 32, 64, 128]
            : [.. sizes.Select(size => int.Parse(size, CultureInfo.InvariantCulture))];
        (double bandwidth, double peak) = PrintCeilings();
        using var layer = new BenchLayer(batches.Max(), Environment.ProcessorCount);
        Console.WriteLine(layer.Description);
        Console.WriteLine("| M | ms (median) | ms (best) | floor ms | ratio | GB/s | % of FMA peak |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        foreach (int tokens in batches)
        {
            Measure(layer, tokens, bandwidth, peak);
        }
    }

    /// <summary>Measures what the machine can do with all its threads, and prints it: bytes a second read, float32 operations a second.</summary>
    public static (double Bandwidth, double Peak) PrintCeilings()
    {
        int threads = Environment.ProcessorCount;
        double bandwidth = Ceilings.ReadBandwidth(threads);
        double peak = Ceilings.FmaPeak(threads);
        Print($"{threads} threads: read {bandwidth / 1e9:f1} GB/s, FMA {peak / 1e9:f0} GFLOP/s");
        return (bandwidth, peak);
    }

    private static void Measure(BenchLayer layer, int tokens, double bandwidth, double peak)
    {
        layer.Forward(tokens);
        layer.Forward(tokens);
        var times = new List<double>();
        double experts = 0;
        long begin = Stopwatch.GetTimestamp();
        while (times.Count < MinRuns || Stopwatch.GetElapsedTime(begin).TotalSeconds < SecondsEach)
        {
            long start = Stopwatch.GetTimestamp();
            layer.Forward(tokens);
            times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            experts += layer.DistinctExperts(tokens);
        }

        times.Sort();
        double median = times[times.Count / 2];
        double bytes = experts / times.Count * BenchLayer.ExpertBytes;
        double flops = tokens * BenchLayer.TokenFlops;
        double floor = Math.Max(bytes / bandwidth, flops / peak);
        Print($"| {tokens} | {median * 1e3:f2} | {times[0] * 1e3:f2} | {floor * 1e3:f2} | {median / floor:f2} | {bytes / median / 1e9:f1} | {flops / median / peak:p0} |");
    }

    private static void Print(FormattableString text) => Console.WriteLine(text.ToString(CultureInfo.InvariantCulture));
}
