using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>A layer's weights on the device, in the one layout that all of the backend's kernels read.</summary>
internal sealed class Bf16Weights : CudaWeights
{
    private Bf16Weights(CudaContext context, MoeLayerShape shape)
        : base(context)
    {
        GateUp = Add(new Bf16Matrix(context, shape.LocalExpertCount, shape.GateUpSize, shape.HiddenSize));
        Down = Add(new Bf16Matrix(context, shape.LocalExpertCount, shape.HiddenSize, shape.IntermediateSize));
        if (context.Device.Architecture.HasWgmma)
        {
            GateUpTiles = shape.Activation.IsGated
                ? Bf16WgmmaTiles.OfGateUp(GateUp, shape.LocalExpertCount)
                : Bf16WgmmaTiles.OfRows(GateUp, shape.LocalExpertCount);
            DownTiles = Bf16WgmmaTiles.OfRows(Down, shape.LocalExpertCount);
            if (shape.LocalExpertCount == 1 && shape.HiddenSize % Mxfp4Layout.BandRows == 0 && shape.IntermediateSize % Mxfp4Layout.BandRows == 0)
            {
                GateUp.Bands = SharedBands.Of(CudaTensorMapDataType.BFloat16, GateUp.Weight, GateUp.Rows, GateUp.Inputs, shape.Activation.IsGated);
                Down.Bands = SharedBands.Of(CudaTensorMapDataType.BFloat16, Down.Weight, Down.Rows, Down.Inputs, isGateUp: false);
            }
        }
    }

    public Bf16Matrix GateUp { get; }

    public Bf16Matrix Down { get; }

    /// <summary>Where <see cref="Bf16WgmmaProducts"/> run.</summary>
    public CudaTensorMap GateUpTiles { get; }

    /// <summary>Where <see cref="Bf16WgmmaProducts"/> run.</summary>
    public CudaTensorMap DownTiles { get; }

    public override nint OutputBias => Down.Bias;

    public static Bf16Weights Load(
        KernelLibrary library, MoeLayerShape shape, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        Load(new Bf16Weights(library.Context, shape), weights =>
        {
            var loader = new Bf16Loader(library, shape.WeightFormat);
            loader.Load([(weights.GateUp, source.GateUp), (weights.Down, source.Down)], progress, cancellationToken);
            weights.RoundingError = loader.Rounding.RelativeError;
        });
}
