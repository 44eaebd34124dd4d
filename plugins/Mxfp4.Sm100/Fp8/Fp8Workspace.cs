using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>The device buffers of one stream's forwards through <see cref="Fp8Experts"/>.</summary>
internal sealed class Fp8Workspace : WidenedWorkspace
{
    /// <summary>Allocates.</summary>
    /// <param name="context">The context.</param>
    /// <param name="config">The layer's config.</param>
    /// <param name="roundedTokens">As <see cref="WidenedWorkspace"/> takes it; 0 where no forward is on BF16 tensor cores.</param>
    public Fp8Workspace(CudaContext context, MoeLayerConfig config, int roundedTokens)
        : base(context, config, roundedTokens)
    {
        Columns = config.HiddenSize;
        Codes = Allocate((long)config.MaxTokens * Columns);
        Scales = Allocate(Mxfp8Layout.ScaleBytes(config.MaxTokens, Columns, Mxfp8ScaleOrder.Linear));
        using CudaContextScope scope = context.MakeCurrent();
        GatheredFp8 = Rows(GatheredRows, config.Shape.HiddenSize);
        ActFp8 = Rows(Act, config.Shape.IntermediateSize);

        Fp8Rows Rows(nint codes, int columns)
        {
            int experts = config.Shape.LocalExpertCount;
            return new Fp8Rows(codes, columns, MaxPairs, Allocate(Fp8Rows.ScaleBytes(columns, MaxPairs, experts)), experts);
        }
    }

    /// <summary>Codes of a row: the padded hidden size.</summary>
    public int Columns { get; }

    /// <summary>[tokens, padded hidden] E4M3.</summary>
    public nint Codes { get; }

    /// <summary>[tokens, padded hidden / 32] E8M0.</summary>
    public nint Scales { get; }

    /// <summary>What the first product reads on FP8 tensor cores, in the memory of the BF16 rows.</summary>
    public Fp8Rows GatheredFp8 { get; }

    /// <summary>What the second product reads then.</summary>
    public Fp8Rows ActFp8 { get; }

    /// <summary>Enqueues the rounding of a batch's rows to MXFP8.</summary>
    /// <param name="quantizer">The kernels.</param>
    /// <param name="rows">BF16 rows.</param>
    /// <param name="hidden">Values of a row.</param>
    /// <param name="stream">The stream.</param>
    public ExpertRows Quantize(Mxfp8Quantizer quantizer, in ExpertRows rows, int hidden, nint stream)
    {
        quantizer.Enqueue(rows, hidden, Codes, Scales, Columns, stream);
        return new ExpertRows(Codes, Columns, rows.Tokens, Scales);
    }
}
