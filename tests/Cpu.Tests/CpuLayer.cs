namespace Moe.Plugins.Cpu.Tests;

/// <summary>A layer on the Cpu backend with one forward state.</summary>
internal sealed class CpuLayer : IDisposable
{
    private readonly MoeForwardState _state;

    public CpuLayer(
        MoeLayerShape shape,
        MoeWeightSource source,
        MoeElementType inputType = MoeElementType.Float32,
        MoeElementType outputType = MoeElementType.Float32,
        int maxTokens = 64,
        MoeHost? host = null)
    {
        var options = new MoeLayerOptions { InputType = inputType, OutputType = outputType, MaxTokens = maxTokens };
        Layer = (host ?? CpuHost.Shared).CreateLayer(new MoeLayerRequest { Shape = shape, Options = options }, source);
        _state = Layer.CreateState();
    }

    public MoeLayer Layer { get; }

    private MoeLayerShape Shape => Layer.Config.Shape;

    /// <summary>Runs a batch in guarded buffers, and checks the guards.</summary>
    /// <param name="input">[tokens, hidden]; copied, and converted where the layer wants float32.</param>
    /// <param name="routing">A former run, whose ids and weights are to be used; null for the layer's own router.</param>
    /// <param name="state">Null for the layer's first state.</param>
    /// <param name="gapElements">Garbage elements behind each row.</param>
    public CpuRun Run(MoeTensorView input, CpuRun? routing = null, MoeForwardState? state = null, int gapElements = 5) =>
        Run(input, routing?.Ids.View ?? default, routing?.Weights.View ?? default, state, gapElements);

    /// <summary>Runs a batch with experts and weights of the caller's; empty for the layer's own router.</summary>
    public CpuRun Run(MoeTensorView input, MoeTensorView ids, MoeTensorView weights, MoeForwardState? state = null, int gapElements = 5)
    {
        using GuardedTensor guarded = GuardedTensor.CopyOf(input, Layer.Config.Options.InputType, gapElements);
        var run = new CpuRun(
            new GuardedTensor(Layer.Config.Options.OutputType, input.Rows, Shape.HiddenSize, gapElements),
            ids.IsEmpty
                ? new GuardedTensor(MoeElementType.Int32, input.Rows, Shape.TopK)
                : GuardedTensor.CopyOf(ids, MoeElementType.Int32),
            weights.IsEmpty
                ? new GuardedTensor(MoeElementType.Float32, input.Rows, Shape.TopK)
                : GuardedTensor.CopyOf(weights, MoeElementType.Float32));
        Layer.Forward(state ?? _state, new MoeLayerCall
        {
            Input = guarded.View,
            Output = run.Output.View,
            TopKIds = run.Ids.View,
            TopKWeights = run.Weights.View,
            Routing = ids.IsEmpty ? MoeRoutingSource.Router : MoeRoutingSource.Caller,
        });
        guarded.CheckGuards();
        run.CheckGuards();
        return run;
    }

    public void Forward(in MoeLayerCall call) => Layer.Forward(_state, call);

    public void Dispose() => Layer.Dispose();
}
