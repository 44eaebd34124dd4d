namespace Moe.Plugins.Collectives.Tests;

/// <summary>Reductions that a graph repeats, and others between them.</summary>
internal static class GraphMix
{
    private const int Width = 96;
    private const int MaxTokens = 24;
    private const int Rounds = 50;
    private const int RecordedRows = 7;

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
        using MoeBuffer numbers = MoeBuffer.OnHost(MoeElementType.Float32, MaxTokens, Width);
        nint stream = memory.CreateStream();
        try
        {
            // Its part is what lies there when it is replayed.
            using IMoeRecording recording = instruments.Record(of => member.AllReduce(
                new MoeReduceArguments { Partial = member.LendPartial(RecordedRows), Output = output.View.FirstRows(RecordedRows), Stream = of }));
            Require(together.SignalAndWait(TimeSpan.FromMinutes(1)), "a rank is missing");
            for (int round = 0; round < Rounds; round++)
            {
                int rows = 1 + (round * 5 % MaxTokens);
                Bring(member, numbers, round, rows, stream);
                member.AllReduce(new MoeReduceArguments { Partial = member.LendPartial(rows), Output = output.View.FirstRows(rows), Stream = stream });
                Check(member, output, numbers, round, rows, stream);
                Bring(member, numbers, round + 1000, RecordedRows, stream);
                memory.Synchronize(stream);
                recording.Replay();
                Check(member, output, numbers, round + 1000, RecordedRows, stream);
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

    private static unsafe void Check(IMoeCommunicator member, MoeBuffer output, MoeBuffer found, int round, int rows, nint stream)
    {
        member.Memory.CopyOut(found.View.Address, output.View.Address, rows * found.View.RowBytes, stream);
        member.Memory.Synchronize(stream);
        if (member.Failure is { } failure)
        {
            throw new MoeException(failure.Reason, failure.Message, failure);
        }

        float expected = Enumerable.Range(0, member.Count).Sum(rank => (float)((round * 3) + rank));
        int wrong = new Span<float>((void*)found.View.Address, rows * Width).IndexOfAnyExcept(expected);
        Require(wrong < 0, $"round {round}, rank {member.Rank}: value {wrong} of {rows} rows is not {expected}");
    }

    private static void Require(bool condition, string message) => Assert.True(condition, message);
}
