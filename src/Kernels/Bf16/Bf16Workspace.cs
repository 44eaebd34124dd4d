using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The device buffers of one stream's forwards.</summary>
internal sealed class Bf16Workspace : CudaWorkspace
{
    public Bf16Workspace(CudaContext context, MoeLayerConfig config)
        : base(context, config)
    {
        MoeLayerShape shape = config.Shape;
        Act = Allocate((long)MaxPairs * shape.IntermediateSize * sizeof(ushort));
        PartialResults = Allocate(Bf16Plan.MaxPartialRows(MaxPairs) * shape.HiddenSize * sizeof(float));
        if (context.Device.Architecture.HasWgmma)
        {
            Gathered = Allocate((long)MaxPairs * shape.HiddenSize * sizeof(ushort));
            GatheredRows = Bf16WgmmaTiles.OfTokens(Gathered, shape.HiddenSize, MaxPairs);
            ActRows = Bf16WgmmaTiles.OfTokens(Act, shape.IntermediateSize, MaxPairs);
        }
    }

    /// <summary>[sorted pairs, intermediate] BF16.</summary>
    public nint Act { get; }

    /// <summary>[splits, pairs, hidden] float32 for few tokens, [pairs, hidden] BF16 for many.</summary>
    public override nint PartialResults { get; }

    /// <summary>
    /// [sorted pairs, hidden] BF16, where <see cref="Bf16WgmmaProducts"/> run. Not the partial results' memory, which the second product writes while the
    /// first still reads this.
    /// </summary>
    public nint Gathered { get; }

    /// <summary>The gathered rows, where <see cref="Bf16WgmmaProducts"/> run.</summary>
    public CudaTensorMap GatheredRows { get; }

    /// <summary>The rows of <see cref="Act"/>, where <see cref="Bf16WgmmaProducts"/> run.</summary>
    public CudaTensorMap ActRows { get; }
}
