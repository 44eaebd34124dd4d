namespace Moe.Plugins.Collectives.Tests;

/// <summary>Reductions and gatherings that a graph repeats, and others between them.</summary>
internal static class GraphMix
{
    private const int Width = 96;
    private const int MaxTokens = 24;
    private const int Rounds = 50;
    private const int RecordedRows = 7;
    private const int GatheredColumns = 4;

    public static void Run(IMoeParallelBackend backend, IReadOnlyList<MoeDevice> devices)
    {
        var instrumented = (IMoeInstrumentedBackend)backend;
        using IMoeGroup group = backend.CreateGroup(new MoeGroupRequest { Devices = devices, MaxTokens = MaxTokens, Width = Width, ElementType = MoeElementType.Float32 });
        using var together = new Barrier(devices.Count);
        var errors = new Exception?[devices.Count];
        Thread[] threads = [.. group.Members.Select((member, i) => new Thread(() => errors[i] = Record.Exception(() => Run(instrumented, member, together))) { IsBackground = true })];
        Array.ForEach(threads, thread => thread.Start());
        Assert.All(threads, thread => Assert.True(thread.Join(TimeSpan.FromMinutes(2)), "a rank does not come back"));
        Assert.All(errors, Assert.Null);
    }

    private static void Run(IMoeInstrumentedBackend backend, IMoeCommunicator member, Barrier together)
    {
        IMoeMemory memory = member.Memory;
        using IMoeInstruments instruments = backend.CreateInstruments(member.Device);
        using var output = new MoeBuffer(memory, MoeElementType.Float32, MaxTokens, Width);
        using var gathered = new MoeBuffer(memory, MoeElementType.Float32, member.Count * RecordedRows, GatheredColumns);
        using MoeBuffer numbers = MoeBuffer.OnHost(MoeElementType.Float32, MaxTokens, Width);
        nint stream = memory.CreateStream();
        try
        {
            // Its part is what lies there when it is replayed. Of the sums, every rank's first columns are gathered.
            using IMoeRecording recording = instruments.Record(of =>
            {
                MoeTensorView sums = output.View.FirstRows(RecordedRows);
                member.AllReduce(new MoeReduceArguments { Partial = member.LendPartial(RecordedRows), Output = sums, Stream = of });
                member.AllGather(new MoeGatherArguments { Input = sums.FirstColumns(GatheredColumns), Output = gathered.View, Stream = of });
            });
            Require(together.SignalAndWait(TimeSpan.FromMinutes(1)), "a rank is missing");
            for (int round = 0; round < Rounds; round++)
            {
                int rows = 1 + (round * 5 % MaxTokens);
                Bring(member, numbers, round, rows, stream);
                member.AllReduce(new MoeReduceArguments { Partial = member.LendPartial(rows), Output = output.View.FirstRows(rows), Stream = stream });
                Check(member, output.View.FirstRows(rows), numbers, round, stream);
                Bring(member, numbers, round + 1000, RecordedRows, stream);
                memory.Synchronize(stream);
                recording.Replay();
                Check(member, output.View.FirstRows(RecordedRows), numbers, round + 1000, stream);
                Check(member, gathered.View, numbers, round + 1000, stream);
            }

            Require(together.SignalAndWait(TimeSpan.FromMinutes(1)), "a rank is missing");
        }
        catch (Exception exception)
        {
            member.Abort(exception.Message);
            throw;
        }
        finally
        {
            memory.Synchronize(stream);
            memory.DestroyStream(stream);
        }
    }

    private static unsafe void Bring(IMoeCommunicator member, MoeBuffer numbers, int round, int rows, nint stream)
    {
        new Span<float>((void*)numbers.View.Address, rows * Width).Fill((round * 3) + member.Rank);
        member.Memory.CopyIn(member.LendPartial(rows).View.Address, numbers.View.Address, rows * numbers.View.RowBytes, stream);
    }

    private static unsafe void Check(IMoeCommunicator member, MoeTensorView output, MoeBuffer found, int round, nint stream)
    {
        member.Memory.CopyOut(found.View.Address, output.Address, output.Rows * output.RowBytes, stream);
        member.Memory.Synchronize(stream);
        if (member.Failure is { } failure)
        {
            throw new MoeException(failure.Reason, failure.Message, failure);
        }

        float expected = Enumerable.Range(0, member.Count).Sum(rank => (float)((round * 3) + rank));
        int wrong = new Span<float>((void*)found.View.Address, output.Rows * output.Columns).IndexOfAnyExcept(expected);
        Require(wrong < 0, $"round {round}, rank {member.Rank}: value {wrong} of {output.Rows} rows of {output.Columns} is not {expected}");
    }

    private static void Require(bool condition, string message) => Assert.True(condition, message);
}
