using Moe.Plugins.Conformance;

namespace Moe.Plugins.Tests;

/// <summary>A layer of a backend with random weights, a stream's state and buffers for a few tokens.</summary>
internal sealed class DeviceLayer : IDisposable
{
    public const int Tokens = 9;

    private readonly float[] _tokens;
    private readonly MoeBuffer _input;
    private readonly MoeBuffer _output;

    public DeviceLayer(MoeHost host, RandomLayer weights, string name = "layer", int maxTokens = Tokens)
    {
        Layer = host.CreateLayer(new MoeLayerRequest { Name = name, Shape = weights.Shape, Options = new MoeLayerOptions { MaxTokens = maxTokens } }, weights.Source);
        try
        {
            State = Layer.CreateState();
            Stream = Layer.Memory.CreateStream();
            _input = new MoeBuffer(Layer.Memory, MoeElementType.BFloat16, Tokens, weights.Shape.HiddenSize);
            _output = new MoeBuffer(Layer.Memory, MoeElementType.BFloat16, Tokens, weights.Shape.HiddenSize);
        }
        catch
        {
            _input?.Dispose();
            Layer.Dispose();
            throw;
        }

        using MoeBuffer tokens = RandomInput.Create(Tokens, weights.Shape.HiddenSize, seed: 3);
        _tokens = tokens.ToSingles();
        CopyIn();
    }

    public MoeLayer Layer { get; }

    public MoeForwardState State { get; }

    public nint Stream { get; }

    /// <summary>Copies the input to the device.</summary>
    public void CopyIn() => _input.CopyFrom(_tokens);

    /// <summary>Enqueues a forward on the layer's stream.</summary>
    public void Enqueue() => Layer.Forward(State, new MoeLayerCall { Input = _input.View, Output = _output.View, Stream = Stream });

    /// <summary>Runs a forward, and waits for its result.</summary>
    public float[] Run()
    {
        Enqueue();
        Layer.Memory.Synchronize(Stream);
        return _output.ToSingles();
    }

    public void Dispose()
    {
        _input.Dispose();
        _output.Dispose();
        Layer.Memory.DestroyStream(Stream);
        State.Dispose();
        Layer.Dispose();
    }
}
