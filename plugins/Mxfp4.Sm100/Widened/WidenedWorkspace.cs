using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>The device buffers of one stream's forwards through <see cref="WidenedExperts"/>.</summary>
internal class WidenedWorkspace : Mxfp4Workspace
{
    /// <summary>Allocates.</summary>
    /// <param name="context">The context.</param>
    /// <param name="config">The layer's config.</param>
    /// <param name="roundedTokens">The most tokens of a batch whose rows are rounded before the kernels that read them.</param>
    public WidenedWorkspace(CudaContext context, MoeLayerConfig config, int roundedTokens)
        : base(context, config) =>
        RoundedRows = Allocate((long)roundedTokens * config.Shape.HiddenSize * sizeof(ushort));

    /// <summary>[tokens, hidden] BF16.</summary>
    public nint RoundedRows { get; }
}
