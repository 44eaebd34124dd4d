using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;

namespace Moe.Plugins.Micro;

/// <summary>A whole forward of gpt-oss-20b's layer on the processor. `moe bench --backend cpu` holds it against the memory bandwidth.</summary>
[SuppressMessage("Design", "CA1001", Justification = "BenchmarkDotNet disposes by way of Cleanup.")]
public class CpuForwardBenchmark
{
    private CpuLayer _layer = null!;

    /// <summary>The batch's tokens.</summary>
    [Params(1, 8, 64)]
    public int Tokens { get; set; }

    /// <summary>Makes the layer.</summary>
    [GlobalSetup]
    public void Setup() => _layer = new CpuLayer(Tokens, MoeLayerShape.GptOss20B);

    /// <summary>Frees it.</summary>
    [GlobalCleanup]
    public void Cleanup() => _layer.Dispose();

    /// <summary>Runs one batch.</summary>
    [Benchmark]
    public void Forward() => _layer.Forward();
}
