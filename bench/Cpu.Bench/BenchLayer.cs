using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cpu.Bench;

/// <summary>A layer of gpt-oss-20b's sizes on the Cpu backend, with inputs enough that no two calls in a row have the same tokens.</summary>
internal sealed class BenchLayer : IDisposable
{
    private const int Batches = 16;

    private readonly MoeHost _host;
    private readonly MoeLayer _layer;
    private readonly MoeForwardState _state;
    private readonly HostTensor _input;
    private readonly HostTensor _output;
    private readonly HostTensor _ids;
    private readonly HostTensor _weights;
    private readonly int _maxTokens;
    private int _batch;

    public BenchLayer(int maxTokens, int? threads = null)
    {
        _maxTokens = maxTokens;
        var options = new MoeOptions { Backend = "Cpu" };
        if (threads is int count)
        {
            options.Plugins["Cpu"] = new Dictionary<string, string> { ["Threads"] = $"{count}" };
        }

        _host = MoeHost.Create(options);
        var request = new MoeLayerRequest { Shape = Shape, Options = new MoeLayerOptions { MaxTokens = maxTokens } };
        Description = _host.Explain(request).Sentence;
        using (var random = new RandomLayer(Shape, seed: 1))
        {
            _layer = _host.CreateLayer(request, random.Source);
        }

        _state = _layer.CreateState();
        _input = RandomInput.Create(maxTokens * Batches, Shape.HiddenSize, seed: 2);
        _output = new HostTensor(MoeElementType.BFloat16, maxTokens, Shape.HiddenSize);
        _ids = new HostTensor(MoeElementType.Int32, maxTokens, Shape.TopK);
        _weights = new HostTensor(MoeElementType.Float32, maxTokens, Shape.TopK);
    }

    public static MoeLayerShape Shape => MoeLayerShape.GptOss20B;

    /// <summary>What the host says of the backend.</summary>
    public string Description { get; }

    /// <summary>Bytes of one expert in MXFP4: 3 · hidden · intermediate codes of 4 bits, and a scale factor for each 32 of them.</summary>
    public static double ExpertBytes => 3.0 * Shape.HiddenSize * Shape.IntermediateSize * (0.5 + (1.0 / 32));

    /// <summary>Multiplications and additions of one token's experts.</summary>
    public static double TokenFlops => 2.0 * 3 * Shape.HiddenSize * Shape.IntermediateSize * Shape.TopK;

    /// <summary>Runs the next batch.</summary>
    public void Forward(int tokens)
    {
        MoeTensorView all = _input.View;
        _batch = (_batch + 1) % Batches;
        _layer.Forward(_state, new MoeLayerCall
        {
            Input = new MoeTensorView(all.RowAddress(_batch * _maxTokens), all.Device, all.ElementType, tokens, all.Columns, all.RowStride),
            Output = _output.View.FirstRows(tokens),
            TopKIds = _ids.View.FirstRows(tokens),
            TopKWeights = _weights.View.FirstRows(tokens),
        });
    }

    /// <summary>Different experts that the last batch of that many tokens went to.</summary>
    public unsafe int DistinctExperts(int tokens) =>
        new ReadOnlySpan<int>((void*)_ids.View.Address, tokens * Shape.TopK).ToArray().Distinct().Count();

    public void Dispose()
    {
        _host.Dispose();
        _input.Dispose();
        _output.Dispose();
        _ids.Dispose();
        _weights.Dispose();
    }
}
