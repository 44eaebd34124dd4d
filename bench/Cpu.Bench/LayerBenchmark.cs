using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;

namespace Moe.Plugins.Cpu.Bench;

/// <summary>A whole forward. In this process, because the plugins' folder lies beside this program and no other.</summary>
[InProcess]
[MemoryDiagnoser]
[SuppressMessage("Design", "CA1001", Justification = "BenchmarkDotNet disposes by way of Cleanup.")]
public class LayerBenchmark
{
    private BenchLayer _layer = null!;

    /// <summary>The batch's tokens.</summary>
    [Params(1, 2, 4, 8, 16, 32, 64, 128)]
    public int Tokens { get; set; }

    /// <summary>Makes the layer.</summary>
    [GlobalSetup]
    public void Setup() => _layer = new BenchLayer(Tokens);

    /// <summary>Frees it.</summary>
    [GlobalCleanup]
    public void Cleanup() => _layer.Dispose();

    /// <summary>Runs one batch.</summary>
    [Benchmark]
    public void Forward() => _layer.Forward(Tokens);
}
