using System.Globalization;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>A layer's MXFP4 weights as all products read them, and what the FP8 ones know of their rows.</summary>
internal sealed class Fp8Weights : CudaWeights
{
    private Fp8Weights(KernelLibrary library, Mxfp4Weights weights)
        : base(library.Context) => Weights = Add(weights);

    public Mxfp4Weights Weights { get; }

    public Fp8Matrix GateUp { get; private set; } = null!;

    public Fp8Matrix Down { get; private set; } = null!;

    public override nint OutputBias => Weights.OutputBias;

    /// <summary>Of weights that are loaded, which are this one's from then on.</summary>
    public static Fp8Weights Of(KernelLibrary library, MoeLayerShape shape, Mxfp4Weights weights) =>
        Load(new Fp8Weights(library, weights), own =>
        {
            own.GateUp = own.Add(new Fp8Matrix(library, shape.LocalExpertCount, weights.GateUp));
            own.Down = own.Add(new Fp8Matrix(library, shape.LocalExpertCount, weights.Down));
            own.Remark = string.Create(
                CultureInfo.InvariantCulture,
                $"of {(weights.GateUp.Rows + weights.Down.Rows) * (long)shape.LocalExpertCount} weight rows {own.GateUp.SplitRows + own.Down.SplitRows} have scales that span more than FP8 holds (2^11): their bands of 64 rows are multiplied 32 inputs at a time, which is slower and as exact");
        });
}
