using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>The device buffers of one stream's forwards through the tcgen05 products.</summary>
internal sealed class NativeWorkspace : IMoeWorkspace
{
    /// <summary>Rows of the second product's copies: the step in which a tile's columns come.</summary>
    private const int ActBoxRows = 16;

    private readonly DeviceArray _partial;

    public NativeWorkspace(CudaContext context, MoeLayerConfig config)
    {
        using CudaContextScope scope = context.MakeCurrent();
        MoeLayerShape shape = config.Shape;
        int pairs = checked(config.MaxTokens * shape.TopK);
        Config = config;
        Routing = new RoutingBuffers(context, config);
        Input = new NativeRows(context, config.MaxTokens, config.HiddenSize, boxRows: 1);
        Act = new NativeRows(context, pairs, config.IntermediateSize, ActBoxRows);
        _partial = new DeviceArray(context, (long)pairs * shape.HiddenSize * sizeof(ushort));
    }

    public MoeLayerConfig Config { get; }

    public RoutingBuffers Routing { get; }

    /// <summary>[tokens, padded hidden].</summary>
    public NativeRows Input { get; }

    /// <summary>[sorted pairs, padded intermediate].</summary>
    public NativeRows Act { get; }

    /// <summary>[pairs, hidden] BF16.</summary>
    public nint Partial => _partial.Address;

    public long ByteCount => Routing.ByteCount + Input.ByteCount + Act.ByteCount + _partial.ByteCount;

    public void Dispose()
    {
        Routing.Dispose();
        Input.Dispose();
        Act.Dispose();
        _partial.Dispose();
    }
}
