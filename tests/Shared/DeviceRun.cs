using Moe.Plugins.Conformance;

namespace Moe.Plugins.Tests;

/// <summary>One forward in guarded buffers on the device, and what came back.</summary>
internal sealed class DeviceRun : IDisposable
{
    private readonly MoeTensorView _tokenIds;

    private DeviceRun(MoeBuffer output, MoeBuffer ids, MoeBuffer weights, MoeTensorView tokenIds)
    {
        Output = output;
        Ids = ids;
        Weights = weights;
        _tokenIds = tokenIds;
    }

    public MoeBuffer Output { get; }

    public MoeBuffer Ids { get; }

    public MoeBuffer Weights { get; }

    /// <summary>Runs a batch.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="state">Its state.</param>
    /// <param name="input">[tokens, hidden] in host memory.</param>
    /// <param name="inputGap">Garbage elements behind each input row.</param>
    /// <param name="outputGap">Garbage elements behind each output row.</param>
    /// <param name="routing">A former run whose choice is to be used; null for the layer's router.</param>
    /// <param name="stream">The stream.</param>
    /// <param name="tokenIds">[tokens, 1] in host memory, for as long as the run is used; empty where no table asks for them.</param>
    public static DeviceRun Run(
        MoeLayer layer,
        MoeForwardState state,
        MoeTensorView input,
        int inputGap = 8,
        int outputGap = 8,
        DeviceRun? routing = null,
        nint stream = 0,
        MoeTensorView tokenIds = default) => Run(
            layer, state, input, routing?.Ids.View ?? default, routing?.Weights.View ?? default, inputGap, outputGap, stream, tokenIds);

    /// <summary>Runs a batch with routing from host memory; empty for the layer's router.</summary>
    public static DeviceRun Run(
        MoeLayer layer,
        MoeForwardState state,
        MoeTensorView input,
        MoeTensorView givenIds,
        MoeTensorView givenWeights,
        int inputGap = 8,
        int outputGap = 8,
        nint stream = 0,
        MoeTensorView tokenIds = default)
    {
        IMoeMemory memory = layer.Method.Memory;
        MoeLayerConfig config = layer.Config;
        using DeviceTensor x = DeviceTensor.CopyOf(memory, input, inputGap);
        using var output = new DeviceTensor(memory, config.Options.OutputType, input.Rows, config.Shape.HiddenSize, outputGap);
        using DeviceTensor? vocabularyIds = tokenIds.IsEmpty ? null : DeviceTensor.CopyOf(memory, tokenIds, outputGap);
        using DeviceTensor ids = givenIds.IsEmpty
            ? new DeviceTensor(memory, MoeElementType.Int32, input.Rows, config.Shape.TopK, outputGap)
            : DeviceTensor.CopyOf(memory, givenIds, outputGap);
        using DeviceTensor weights = givenIds.IsEmpty
            ? new DeviceTensor(memory, MoeElementType.Float32, input.Rows, config.Shape.TopK, outputGap)
            : DeviceTensor.CopyOf(memory, givenWeights, outputGap);
        layer.Forward(state, new MoeLayerCall
        {
            Input = x.View,
            Output = output.View,
            TopKIds = ids.View,
            TopKWeights = weights.View,
            TokenIds = vocabularyIds?.View ?? default,
            Routing = givenIds.IsEmpty ? MoeRoutingSource.Router : MoeRoutingSource.Caller,
            Stream = stream,
        });
        memory.Synchronize(stream);
        x.Download().Dispose();
        return new DeviceRun(output.Download(), ids.Download(), weights.Download(), tokenIds);
    }

    /// <summary>Fails unless the result is right, and the choice of experts that of the oracle but for near ties.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="source">Its weights.</param>
    /// <param name="input">[tokens, hidden] in host memory.</param>
    /// <param name="activations">How the oracle rounds activations.</param>
    /// <param name="tolerance">The relative error that is allowed; null for what the method promises.</param>
    public void AssertAgrees(
        MoeLayer layer, MoeWeightSource source, MoeTensorView input, OracleActivations activations = OracleActivations.Exact, double? tolerance = null)
    {
        OracleResult own = MoeOracle.Compute(
            layer.Config.Shape, source, input, new OracleOptions { TokenIds = _tokenIds }, TestContext.Current.CancellationToken);
        RoutingDifference routing = RoutingDifference.Measure(Ids.View, own);
        Assert.True(routing.TokenCount == 0 || routing.IsTie, $"{routing.TokenCount} tokens went elsewhere, by a gap of {routing.LargestGap}");
        var options = new OracleOptions { TopKIds = Ids.View, Activations = activations };
        OracleResult oracle = MoeOracle.Compute(layer.Config.Shape, source, input, options, TestContext.Current.CancellationToken);
        TensorDifference difference = TensorDifference.Measure(Output.View, oracle);
        Assert.True(
            difference.RelativeError <= (tolerance ?? layer.Method.Numerics.RelativeError),
            $"relative error {difference.RelativeError:0.0e0}, largest difference {difference.MaxAbsError:0.0e0}; {layer.Config.Shape}, {input.Rows} tokens");
    }

    public unsafe bool HasBitsOf(DeviceRun other) =>
        new ReadOnlySpan<byte>((void*)Output.View.Address, (int)Output.ByteCount)
            .SequenceEqual(new ReadOnlySpan<byte>((void*)other.Output.View.Address, (int)other.Output.ByteCount));

    public void Dispose()
    {
        Output.Dispose();
        Ids.Dispose();
        Weights.Dispose();
    }
}
