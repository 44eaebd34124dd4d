using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>The device buffers of one stream's forwards.</summary>
internal sealed class Bf16Workspace : CudaWorkspace
{
    public Bf16Workspace(CudaContext context, MoeLayerConfig config)
        : base(context, config)
    {
        MoeLayerShape shape = config.Shape;
        Act = Allocate((long)MaxPairs * shape.IntermediateSize * sizeof(ushort));
        PartialResults = Allocate(ForwardPlan.MaxPartialRows(MaxPairs) * shape.HiddenSize * sizeof(float));
        if (context.Device.Architecture.HasWgmma)
        {
            Gathered = Allocate((long)MaxPairs * shape.HiddenSize * sizeof(ushort));
            GatheredRows = WgmmaTiles.OfTokens(Gathered, shape.HiddenSize, MaxPairs);
            ActRows = WgmmaTiles.OfTokens(Act, shape.IntermediateSize, MaxPairs);
        }
    }

    /// <summary>[sorted pairs, intermediate] BF16.</summary>
    public nint Act { get; }

    /// <summary>[splits, pairs, hidden] float32 for few tokens, [pairs, hidden] BF16 for many.</summary>
    public override nint PartialResults { get; }

    /// <summary>
    /// [sorted pairs, hidden] BF16, where <see cref="WgmmaProducts"/> run. Not the partial results' memory, which the second product writes while the
    /// first still reads this.
    /// </summary>
    public nint Gathered { get; }

    /// <summary>The gathered rows, where <see cref="WgmmaProducts"/> run.</summary>
    public CudaTensorMap GatheredRows { get; }

    /// <summary>The rows of <see cref="Act"/>, where <see cref="WgmmaProducts"/> run.</summary>
    public CudaTensorMap ActRows { get; }
}
