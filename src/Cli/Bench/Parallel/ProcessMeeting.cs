using System.Diagnostics;

namespace Moe.Plugins.Cli;

/// <summary>Ranks that are processes of one machine, one of them this.</summary>
internal sealed class ProcessMeeting(IMoeRendezvous rendezvous) : RankMeeting
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>From what the last rank said until all go on: all have heard of it by then.</summary>
    private static readonly long Ahead = Stopwatch.Frequency / 500;

    // What is exchanged arrives at each process at another moment; the clock is the machine's, the same for all of them.
    public override void Meet()
    {
        long start = Exchange("a start", BitConverter.GetBytes(Stopwatch.GetTimestamp())).Max(bytes => BitConverter.ToInt64(bytes.Span)) + Ahead;
        while (Stopwatch.GetTimestamp() < start)
        {
            Thread.SpinWait(10);
        }
    }

    public override double Largest(int index, double own) =>
        Exchange("a number", BitConverter.GetBytes(own)).Max(bytes => BitConverter.ToDouble(bytes.Span));

    public override bool AreEqual(ReadOnlySpan<byte> own)
    {
        byte[] bytes = own.ToArray();
        return Exchange("results", bytes).All(other => other.Span.SequenceEqual(bytes));
    }

    public override void Dispose()
    {
        // The rendezvous is the group's.
    }

    private IReadOnlyList<ReadOnlyMemory<byte>> Exchange(string what, byte[] own) => rendezvous.Exchange(what, own, Patience);
}
