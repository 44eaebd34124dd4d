using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Micro;

/// <summary>What the host itself costs in a forward: checks, padding, slicing. Goal: under 2 µs and 0 bytes.</summary>
[SuppressMessage("Design", "CA1001", Justification = "BenchmarkDotNet disposes by way of Cleanup.")]
public class ForwardBenchmark
{
    private readonly List<IDisposable> _owned = [];
    private MoeLayer _skipping = null!;
    private MoeForwardState _skippingState = null!;
    private MoeLayer _padded = null!;
    private MoeForwardState _paddedState = null!;
    private MoeLayerCall _call;

    /// <summary>Makes the layers.</summary>
    [GlobalSetup]
    public void Setup()
    {
        MoeLayerShape shape = MoeLayerShape.GptOss20B with { ExpertCount = 4 };
        RandomLayer weights = Keep(new RandomLayer(shape, seed: 1));
        _skipping = Keep(MoeLayer.Create(new IdleMethod(256, skips: true), shape, weights.Source));
        _skippingState = _skipping.CreateState();
        _padded = Keep(MoeLayer.Create(new IdleMethod(256, skips: false), shape, weights.Source));
        _paddedState = _padded.CreateState();
        MoeBuffer values = Keep(MoeBuffer.OnHost(MoeElementType.BFloat16, 16, shape.HiddenSize));
        MoeBuffer ids = Keep(MoeBuffer.OnHost(MoeElementType.Int32, 16, shape.TopK));
        MoeBuffer shares = Keep(MoeBuffer.OnHost(MoeElementType.Float32, 16, shape.TopK));
        _call = new MoeLayerCall { Input = values.View, Output = values.View, TopKIds = ids.View, TopKWeights = shares.View };
    }

    /// <summary>Frees them.</summary>
    [GlobalCleanup]
    public void Cleanup() => _owned.ForEach(item => item.Dispose());

    /// <summary>The method takes and writes the caller's own buffers.</summary>
    [Benchmark]
    public void UnpaddedForward() => _skipping.Forward(_skippingState, _call);

    /// <summary>The host pads and slices.</summary>
    [Benchmark]
    public void PaddedForward() => _padded.Forward(_paddedState, _call);

    private T Keep<T>(T item)
        where T : IDisposable
    {
        _owned.Add(item);
        return item;
    }
}
