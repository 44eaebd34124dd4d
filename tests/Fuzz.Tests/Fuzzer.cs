using System.Diagnostics;
using System.Globalization;

namespace Moe.Plugins.Fuzz;

/// <summary>
/// Hands many inputs to a reader. Each must be read, or refused by <see cref="MoeException"/>, without hanging, and without allocating more than twice
/// its own length and a constant.
/// </summary>
internal static class Fuzzer
{
    /// <summary>How many inputs each reader gets.</summary>
    private const string CountVariable = "MOE_FUZZ_INPUTS";

    /// <summary>The number of the first input; a failure names the one to start from.</summary>
    private const string FirstVariable = "MOE_FUZZ_FIRST";

    /// <summary>For an exception with its stack trace, a reader's buffers, and the objects that a few hundred short entries become.</summary>
    private const long Allowance = 1 << 20;

    /// <summary>Who takes so long hangs, however busy the machine is.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(2);

    /// <summary>Reads inputs made of seeds.</summary>
    /// <param name="seeds">What is right, for mutations to begin with.</param>
    /// <param name="words">What the format cares about.</param>
    /// <param name="read">The reader.</param>
    /// <param name="output">The test's output.</param>
    /// <param name="share">Among how many tests of one kind the number of inputs is shared out.</param>
    /// <param name="allowance">Bytes that the reader may allocate beside twice the input.</param>
    public static void Run(byte[][] seeds, byte[][] words, Action<byte[]> read, ITestOutputHelper output, int share = 1, long allowance = Allowance)
    {
        long count = Math.Max(100, Number(CountVariable, 3000) / share);
        long first = Number(FirstVariable, 0);
        var mutator = new Mutator(seeds, words);
        long current = first;
        (long Accepted, long MostAllocated) seen = (0, 0);
        var work = Task.Run(() =>
        {
            for (long number = first; number < first + count; number++)
            {
                Volatile.Write(ref current, number);
                (bool accepted, long allocated) = Try(read, mutator.Make(number), number, allowance);
                seen = (seen.Accepted + (accepted ? 1 : 0), Math.Max(seen.MostAllocated, allocated));
            }
        });

        long watched = first;
        while (!work.Wait(Deadline))
        {
            long now = Volatile.Read(ref current);
            Assert.False(now == watched && !work.IsCompleted, $"Input {now} was not read within {Deadline.TotalSeconds} s.");
            watched = now;
        }

        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{count} inputs, {seen.Accepted} of them read, the others refused; at most {seen.MostAllocated} bytes allocated for one"));

        // Otherwise the mutations are so wild that only the first check is ever tried.
        Assert.True(seen.Accepted > 0 && seen.Accepted < count, $"{seen.Accepted} of {count} inputs were read.");
    }

    private static (bool Accepted, long Allocated) Try(Action<byte[]> read, byte[] input, long number, long allowance)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        bool accepted = true;
        try
        {
            read(input);
        }
        catch (MoeException)
        {
            accepted = false;
        }
        catch (Exception exception)
        {
            throw new UnreachableException($"Input {number}, {Convert.ToHexString(input.AsSpan(0, Math.Min(input.Length, 400)))}: {exception}", exception);
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(
            allocated <= (2L * input.Length) + allowance,
            $"Input {number} of {input.Length} bytes made its reader allocate {allocated}: {Convert.ToHexString(input.AsSpan(0, Math.Min(input.Length, 400)))}");
        return (accepted, allocated);
    }

    private static long Number(string variable, long otherwise) =>
        long.Parse(Environment.GetEnvironmentVariable(variable) ?? otherwise.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
}
