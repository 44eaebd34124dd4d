using BenchmarkDotNet.Attributes;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Micro;

/// <summary>Making the random layers that tests and benchmarks of backends begin with.</summary>
public class RandomLayerBenchmark
{
    /// <summary>The layer's seed.</summary>
    [Params(1)]
    public int Seed { get; set; }

    /// <summary>A layer of gpt-oss-20b, 400 MB in MXFP4.</summary>
    [Benchmark]
    public long MakeGptOss20B()
    {
        using var layer = new RandomLayer(MoeLayerShape.GptOss20B, Seed);
        return layer.ByteCount;
    }
}
