using System.Globalization;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Micro;

/// <summary>A layer on the Cpu backend, with inputs enough that no two calls in a row have the same tokens.</summary>
internal sealed class CpuLayer : IDisposable
{
    private const int Batches = 16;

    /// <summary>A forward of few tokens takes a fraction of a millisecond.</summary>
    public static MoeLayerShape Small { get; } = new() { HiddenSize = 320, IntermediateSize = 192, ExpertCount = 8, TopK = 4 };

    private readonly MoeHost _host;
    private readonly MoeLayer _layer;
    private readonly MoeForwardState _state;
    private readonly MoeBuffer _input;
    private readonly MoeBuffer _output;
    private readonly int _tokens;
    private int _batch;

    /// <summary>Makes it.</summary>
    /// <param name="tokens">Of a batch.</param>
    /// <param name="shape">The layer's sizes.</param>
    /// <param name="threads">Threads of the backend; 0 leaves them to it.</param>
    public CpuLayer(int tokens, MoeLayerShape shape, int threads = 0)
    {
        _tokens = tokens;
        var options = new MoeOptions { Backend = "Cpu" };
        if (threads != 0)
        {
            options.Plugins["Cpu"] = new Dictionary<string, string> { ["Threads"] = threads.ToString(CultureInfo.InvariantCulture) };
        }

        _host = MoeHost.Create(options);
        var request = new MoeLayerRequest { Shape = shape, Options = new MoeLayerOptions { MaxTokens = tokens } };
        using (var random = new RandomLayer(shape, seed: 1))
        {
            _layer = _host.CreateLayer(request, random.Source);
        }

        _state = _layer.CreateState();
        _input = RandomInput.Create(tokens * Batches, shape.HiddenSize, seed: 2);
        _output = MoeBuffer.OnHost(MoeElementType.BFloat16, tokens, shape.HiddenSize);
    }

    /// <summary>Runs the next batch.</summary>
    public void Forward()
    {
        MoeTensorView all = _input.View;
        _batch = (_batch + 1) % Batches;
        _layer.Forward(_state, new MoeLayerCall
        {
            Input = new MoeTensorView(all.RowAddress(_batch * _tokens), all.Device, all.ElementType, _tokens, all.Columns, all.RowStride),
            Output = _output.View,
        });
    }

    public void Dispose()
    {
        _host.Dispose();
        _input.Dispose();
        _output.Dispose();
    }
}
