using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;

namespace Moe.Plugins.Micro;

/// <summary>
/// A small layer on the processor beside other programs that keep every core busy: threads that share the work may take no more than 1.5 times what
/// one thread takes there.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "BenchmarkDotNet disposes by way of Cleanup.")]
public class ContentionBenchmark
{
    private BusyProcesses _busy = null!;
    private CpuLayer _layer = null!;

    /// <summary>Threads of the backend; 0 is one for each core.</summary>
    [Params(1, 0)]
    public int Threads { get; set; }

    /// <summary>Whether each core has a program that never rests.</summary>
    [Params(false, true)]
    public bool IsBusy { get; set; }

    /// <summary>Makes the layer, and starts the others.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _layer = new CpuLayer(8, CpuLayer.Small, Threads);
        _busy = new BusyProcesses(IsBusy ? Environment.ProcessorCount : 0);
    }

    /// <summary>Ends the others, and frees the layer.</summary>
    [GlobalCleanup]
    public void Cleanup()
    {
        _busy.Dispose();
        _layer.Dispose();
    }

    /// <summary>Runs one batch.</summary>
    [Benchmark]
    public void Forward() => _layer.Forward();
}
