using System.Diagnostics;
using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>Lanes on a driver whose devices are the host's memory, each test in a process of its own: the first driver that is loaded stays.</summary>
public sealed unsafe class WeightLanesTests : IDisposable
{
    private const int PieceBytes = 1 << 16;

    private readonly FakeLibraries _libraries = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public Task Every_piece_arrives_once_however_many_load_at_once() => InOwnProcess(nameof(Every_piece_arrives_once_however_many_load_at_once), lanes =>
    {
        const int loads = 6, pieces = 50;
        var arrived = new byte[loads * pieces][];
        Parallel.For(0, loads, load =>
        {
            var told = new List<double>();
            lanes.Load(
                [.. Enumerable.Range(load * pieces, pieces).Select(i => new WeightPiece(
                    PieceBytes + i,
                    host => new Span<byte>((void*)host, PieceBytes + i).Fill((byte)i),
                    (device, _) => arrived[i] = arrived[i] is null ? new ReadOnlySpan<byte>((void*)device, PieceBytes + i).ToArray() : []))],
                new Progress(told),
                Cancellation);
            Assert.Equal(pieces, told.Count);
            Assert.Equal(told.Order(), told);
            Assert.Equal(1, told[^1], precision: 12);
        });
        for (int i = 0; i < arrived.Length; i++)
        {
            Assert.Equal(PieceBytes + i, arrived[i].Length);
            Assert.All(arrived[i], value => Assert.Equal((byte)i, value));
        }

        Assert.InRange(FakeDevice.Count().MostPinned, PieceBytes, 8 * (PieceBytes + arrived.Length));
    });

    [Fact]
    public Task They_free_what_they_have_once_nothing_comes_any_more() => InOwnProcess(nameof(They_free_what_they_have_once_nothing_comes_any_more), lanes =>
    {
        for (int time = 0; time < 2; time++)
        {
            lanes.Load(Pieces(20), progress: null, Cancellation);
            Assert.NotEqual(0, FakeDevice.Count().Pinned);
            var waited = Stopwatch.StartNew();
            while (FakeDevice.Count() is not { Pinned: 0, Device: 0, Streams: 0 })
            {
                Assert.True(waited.Elapsed < TimeSpan.FromSeconds(30), $"{FakeDevice.Count()} are kept.");
                Thread.Sleep(20);
            }
        }
    });

    [Fact]
    public Task No_more_than_a_gigabyte_is_pinned() => InOwnProcess(nameof(No_more_than_a_gigabyte_is_pinned), lanes =>
    {
        lanes.Load([.. Enumerable.Range(0, 12).Select(_ => new WeightPiece(400L << 20, _ => { }, (_, _) => { }))], progress: null, Cancellation);
        Assert.InRange(FakeDevice.Count().MostPinned, 400L << 20, 1L << 30);
    });

    [Fact]
    public Task One_load_fails_alone() => InOwnProcess(nameof(One_load_fails_alone), lanes =>
    {
        int read = 0;
        using var other = new ManualResetEventSlim();

        // Slow: a thread's first exception takes a while, in which other lanes would read all that there is.
        void ReadSlowly()
        {
            Interlocked.Increment(ref read);
            Thread.Sleep(50);
        }

        var going = Task.Run(() => lanes.Load([.. Pieces(30), new WeightPiece(8, _ => other.Wait(Cancellation), (_, _) => { })], progress: null, Cancellation));
        var exception = Assert.Throws<MoeException>(() => lanes.Load(
            [.. Pieces(10), new WeightPiece(8, _ => throw new MoeException(MoeReason.Checkpoint, "It was cut short."), (_, _) => { }), .. Pieces(500, ReadSlowly)],
            progress: null,
            Cancellation));
        Assert.Equal("It was cut short.", exception.Message);
        Assert.InRange(read, 0, 100);
        other.Set();
        going.GetAwaiter().GetResult();
    });

    [Fact]
    public Task Nothing_is_read_any_more_once_a_load_was_ended() => InOwnProcess(nameof(Nothing_is_read_any_more_once_a_load_was_ended), lanes =>
    {
        int read = 0;
        using var ending = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => lanes.Load(
            Pieces(1000, () =>
            {
                if (Interlocked.Increment(ref read) == 10)
                {
                    ending.Cancel();
                }
            }),
            progress: null,
            ending.Token));
        int before = read;
        Assert.InRange(before, 10, 18);
        lanes.Load(Pieces(20), progress: null, Cancellation);
        Assert.Equal(before, read);
    });

    [Fact]
    public Task A_full_device_is_said_and_used_again_once_there_is_room() => InOwnProcess(nameof(A_full_device_is_said_and_used_again_once_there_is_room), lanes =>
    {
        FakeDevice.Free(PieceBytes / 2);
        Assert.Contains("OUT_OF_MEMORY", Assert.Throws<CudaException>(() => lanes.Load(Pieces(20), progress: null, Cancellation)).Message, StringComparison.Ordinal);
        FakeDevice.Free(long.MaxValue);
        lanes.Load(Pieces(20), progress: null, Cancellation);
    });

    public void Dispose() => _libraries.Dispose();

    private static WeightPiece[] Pieces(int count, Action? reading = null) =>
        [.. Enumerable.Range(0, count).Select(_ => new WeightPiece(PieceBytes, _ => reading?.Invoke(), (_, _) => { }))];

    private Task InOwnProcess(string test, Action<WeightLanes> run)
    {
        if (OwnProcess.Told is null)
        {
            return OwnProcess.RunAsync(test, "", _libraries.WithDevice().SearchPath);
        }

        using CudaContext context = CudaContext.RetainPrimary(CudaDevice.Get(0));
        var library = new KernelLibrary(context, new KernelCompiler(), typeof(WeightLanesTests).Assembly);
        run(library.Lanes);
        library.Dispose();
        FakeDevice.Held held = FakeDevice.Count();
        Assert.Equal((0, 0, 0), (held.Pinned, held.Device, held.Streams));
        return Task.CompletedTask;
    }

    private sealed class Progress(List<double> told) : IProgress<double>
    {
        public void Report(double value) => told.Add(value);
    }
}
