using System.Diagnostics;
using System.Globalization;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Tests;

/// <summary>Layers run, go and come on several threads while their plugins are replaced: results keep their bits, and memory stays where it is.</summary>
public sealed class SoakTests : IAsyncDisposable
{
    /// <summary>How long to go on; the test suite goes on for a few seconds.</summary>
    private const string SecondsVariable = "MOE_SOAK_SECONDS";

    private const int Tokens = 5;
    private const int Slots = 6;
    private const int Runners = 3;

    /// <summary>Bytes of live managed memory that all but the first tenth of the time may add.</summary>
    private const long ManagedAllowance = 8 << 20;

    /// <summary>The same of the process's memory, in which the runtime keeps what it likes.</summary>
    private const long ResidentAllowance = 64 << 20;

    private static readonly MoeLayerShape CpuShape = new()
    {
        HiddenSize = 160,
        IntermediateSize = 96,
        ExpertCount = 8,
        TopK = 3,
        WeightFormat = MoeWeightFormat.Mxfp4,
        HasExpertBias = true,
        Router = MoeRouter.TopKThenSoftmax,
    };

    private readonly ITestOutputHelper _output;
    private readonly WorkingFolder _folder = new();
    private readonly byte[][] _versions = [WorkingFolder.Version(1), WorkingFolder.Version(2)];
    private readonly RandomLayer _weights = new(CpuShape, 7);
    private readonly MoeBuffer _input = RandomInput.Create(Tokens, CpuShape.HiddenSize, 7);
    private readonly MoeHost _host;
    private readonly Slot[] _slots;
    private readonly byte[] _right;
    private long _forwards;
    private long _made;
    private long _reloads;
    private volatile bool _isOver;

    public SoakTests(ITestOutputHelper output)
    {
        _output = output;
        _folder.Drop.WithFolder(Path.Combine(AppContext.BaseDirectory, "plugins", "Cpu"));
        MoeOptions options = _folder.Drop.Options;
        options.ActivationTimeout = TimeSpan.FromMinutes(1);
        options.Layers["cpu.*"] = "Cpu";
        options.Layers["working.*"] = "Working";
        options.Plugins["Cpu"] = new Dictionary<string, string> { ["Threads"] = "2" };
        _host = MoeHost.Create(options);
        _slots = [.. Enumerable.Range(0, Slots).Select(number => new Slot(number, Make(number)))];
        _right = RunCpu(_slots[0].Layer);
    }

    [Fact]
    public async Task Layers_run_and_go_and_are_reloaded_at_once()
    {
        var time = TimeSpan.FromSeconds(int.Parse(Environment.GetEnvironmentVariable(SecondsVariable) ?? "6", CultureInfo.InvariantCulture));
        Task[] work =
        [
            .. Enumerable.Range(0, Runners).Select(runner => Begin(() => Run(new Random(runner)))),
            Begin(() => Replace(new Random(100))),
            Begin(() => Reload(new Random(200))),
        ];
        long start = Stopwatch.GetTimestamp();
        var seen = new List<(long Managed, long Resident)>();
        for (int tenth = 1; tenth <= 10; tenth++)
        {
            while (Stopwatch.GetElapsedTime(start) < time * tenth / 10 && work.All(static task => !task.IsCompleted))
            {
                await Task.Delay(100, TestContext.Current.CancellationToken);
            }

            seen.Add((GC.GetTotalMemory(forceFullCollection: true), Environment.WorkingSet));
            _output.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{Stopwatch.GetElapsedTime(start).TotalSeconds:0} s: {_forwards} forwards, {_made} layers, {_reloads} reloads; {seen[^1].Managed / 1e6:0.0} MB managed, {seen[^1].Resident / 1e6:0} MB resident"));
        }

        _isOver = true;
        await Task.WhenAll(work);
        Assert.True(_forwards > 0 && _made > Slots && _reloads > 1);
        Assert.InRange(seen[^1].Managed - seen[0].Managed, long.MinValue, ManagedAllowance);
        Assert.InRange(seen[^1].Resident - seen[0].Resident, long.MinValue, ResidentAllowance);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Slot slot in _slots)
        {
            slot.Dispose();
        }

        await _host.DisposeAsync();
        _weights.Dispose();
        _input.Dispose();
        _folder.Dispose();
    }

    private static bool IsCpu(int slot) => slot % 2 == 0;

    // Threads of their own: the pool is the plugins' too.
    private static Task Begin(Action work) => Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private void Run(Random random)
    {
        while (!_isOver)
        {
            Slot slot = _slots[random.Next(Slots)];
            slot.Lock.EnterReadLock();
            try
            {
                if (IsCpu(slot.Number))
                {
                    Assert.True(_right.AsSpan().SequenceEqual(RunCpu(slot.Layer)), "The bits of a result changed.");
                }
                else
                {
                    float answer = WorkingFolder.Run(slot.Layer);
                    Assert.True(answer is 1 or 2, $"{answer} is no version's answer.");
                    Assert.True((slot.Answer ??= answer) == answer, "A layer changed its version.");
                }
            }
            finally
            {
                slot.Lock.ExitReadLock();
            }

            Interlocked.Increment(ref _forwards);
            Thread.Sleep(random.Next(4));
        }
    }

    // A layer is disposed once its forwards are over, as the contract demands; others go on.
    private void Replace(Random random)
    {
        while (!_isOver)
        {
            Slot slot = _slots[random.Next(Slots)];
            slot.Put(Make(slot.Number));
            Thread.Sleep(random.Next(10));
        }
    }

    private void Reload(Random random)
    {
        for (int number = 0; !_isOver; number++)
        {
            _folder.RenameOver(_versions[number % 2]);
            if (number % 16 == 0)
            {
                _folder.Drop.WithFile("Cpu", "note.txt", BitConverter.GetBytes(number));
            }

            foreach (MoeReloadReport report in _host.ReloadChangedAsync().GetAwaiter().GetResult())
            {
                Assert.True(report.Outcome == MoeReloadOutcome.Replaced, report.Sentence);
                Interlocked.Increment(ref _reloads);
            }

            Thread.Sleep(random.Next(100));
        }
    }

    private MoeLayer Make(int slot)
    {
        Interlocked.Increment(ref _made);
        return IsCpu(slot)
            ? _host.CreateLayer(new MoeLayerRequest { Name = $"cpu.{slot}", Shape = CpuShape, Options = new MoeLayerOptions { MaxTokens = Tokens } }, _weights.Source)
            : _host.CreateLayer(TinyLayer.Request with { Name = $"working.{slot}" }, TinyLayer.Weights);
    }

    private byte[] RunCpu(MoeLayer layer)
    {
        using MoeForwardState state = layer.CreateState();
        using var output = new MoeBuffer(layer.Memory, MoeElementType.BFloat16, Tokens, CpuShape.HiddenSize);
        layer.Forward(state, new MoeLayerCall { Input = _input.View, Output = output.View });
        return [.. output.ToSingles().SelectMany(BitConverter.GetBytes)];
    }

    private sealed class Slot(int number, MoeLayer layer) : IDisposable
    {
        public int Number { get; } = number;

        public ReaderWriterLockSlim Lock { get; } = new();

        public MoeLayer Layer { get; private set; } = layer;

        /// <summary>What a layer of the fixture's answers, once it was asked.</summary>
        public float? Answer { get; set; }

        public void Put(MoeLayer layer)
        {
            MoeLayer old;
            Lock.EnterWriteLock();
            try
            {
                (old, Layer, Answer) = (Layer, layer, null);
            }
            finally
            {
                Lock.ExitWriteLock();
            }

            old.Dispose();
        }

        public void Dispose()
        {
            Layer.Dispose();
            Lock.Dispose();
        }
    }
}
