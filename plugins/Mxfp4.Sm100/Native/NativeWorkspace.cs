using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>The device buffers of one stream's forwards through the tcgen05 products.</summary>
internal sealed class NativeWorkspace : CudaWorkspace
{
    /// <summary>Rows of the second product's copies: the step in which a tile's columns come.</summary>
    private const int ActBoxRows = 16;

    public NativeWorkspace(CudaContext context, MoeLayerConfig config)
        : base(context, config)
    {
        Input = Add(new NativeRows(context, config.MaxTokens, config.HiddenSize, boxRows: 1));
        Act = Add(new NativeRows(context, MaxPairs, config.IntermediateSize, ActBoxRows));
        PartialResults = Allocate((long)MaxPairs * config.Shape.HiddenSize * sizeof(ushort));
    }

    /// <summary>[tokens, padded hidden].</summary>
    public NativeRows Input { get; }

    /// <summary>[sorted pairs, padded intermediate].</summary>
    public NativeRows Act { get; }

    /// <summary>[pairs, hidden] BF16.</summary>
    public override nint PartialResults { get; }
}
