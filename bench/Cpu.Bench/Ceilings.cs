using System.Diagnostics;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu.Bench;

/// <summary>What the machine can do at most with so many threads: measured, because no data sheet knows a virtual machine.</summary>
internal static unsafe class Ceilings
{
    private const int Passes = 9;
    private const long StreamBytes = 1200L << 20;
    private const int FmaRounds = 20_000_000;
    private const int FmaChains = 12;

    /// <summary>Bytes per second of summing 1.2 GB.</summary>
    public static double ReadBandwidth(int threads)
    {
        using var memory = new StreamMemory((nuint)StreamBytes);
        long share = StreamBytes / threads / 1024 * 1024;
        double seconds = MedianOf(threads, thread => Sum(memory.Address + (thread * share), share));
        return share * threads / seconds;
    }

    /// <summary>Float32 operations per second, a fused multiplication and addition counted as two.</summary>
    public static double FmaPeak(int threads)
    {
        double seconds = MedianOf(threads, static _ => MultiplyAdd());
        return 2.0 * Vector512<float>.Count * FmaChains * FmaRounds * threads / seconds;
    }

    private static double MedianOf(int threads, Func<int, float> work)
    {
        double[] seconds = new double[Passes];
        float sink = 0;
        for (int pass = 0; pass < Passes; pass++)
        {
            using var start = new Barrier(threads);
            float[] results = new float[threads];
            long[] begins = new long[threads];
            long[] ends = new long[threads];
            Thread[] running = [.. Enumerable.Range(0, threads).Select(thread => new Thread(() =>
            {
                // The threads read the clock: one that only watched might get a core when they are half done.
                start.SignalAndWait();
                begins[thread] = Stopwatch.GetTimestamp();
                results[thread] = work(thread);
                ends[thread] = Stopwatch.GetTimestamp();
            }))];
            Array.ForEach(running, thread => thread.Start());
            Array.ForEach(running, thread => thread.Join());
            seconds[pass] = Stopwatch.GetElapsedTime(begins.Min(), ends.Max()).TotalSeconds;
            sink += results.Sum();
        }

        // The median, as of the layer: the best of some passes once came out at twice the others, on a virtual machine's clock.
        // A result that nobody uses would let the work be left out.
        Array.Sort(seconds);
        return float.IsNegativeInfinity(sink) ? 0 : seconds[Passes / 2];
    }

    private static float Sum(byte* from, long count)
    {
        Vector512<uint> a = default, b = default, c = default, d = default;
        for (byte* end = from + count; from < end; from += 256)
        {
            a += Vector512.Load((uint*)from);
            b += Vector512.Load((uint*)(from + 64));
            c += Vector512.Load((uint*)(from + 128));
            d += Vector512.Load((uint*)(from + 192));
        }

        return Vector512.Sum(a + b + c + d);
    }

    private static float MultiplyAdd()
    {
        Vector512<float> m = Vector512.Create(0.5f), n = Vector512.Create(0.25f);
        Vector512<float> a = default, b = default, c = default, d = default, e = default, f = default;
        Vector512<float> g = default, h = default, i = default, j = default, k = default, l = default;
        for (int round = 0; round < FmaRounds; round++)
        {
            a = Vector512.FusedMultiplyAdd(a, m, n);
            b = Vector512.FusedMultiplyAdd(b, m, n);
            c = Vector512.FusedMultiplyAdd(c, m, n);
            d = Vector512.FusedMultiplyAdd(d, m, n);
            e = Vector512.FusedMultiplyAdd(e, m, n);
            f = Vector512.FusedMultiplyAdd(f, m, n);
            g = Vector512.FusedMultiplyAdd(g, m, n);
            h = Vector512.FusedMultiplyAdd(h, m, n);
            i = Vector512.FusedMultiplyAdd(i, m, n);
            j = Vector512.FusedMultiplyAdd(j, m, n);
            k = Vector512.FusedMultiplyAdd(k, m, n);
            l = Vector512.FusedMultiplyAdd(l, m, n);
        }

        return Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }
}
