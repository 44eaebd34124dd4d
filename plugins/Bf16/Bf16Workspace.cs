using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>The device buffers of one stream's forwards.</summary>
internal sealed class Bf16Workspace : IMoeWorkspace
{
    private readonly DeviceArray _act;
    private readonly DeviceArray _partial;

    public Bf16Workspace(CudaContext context, MoeLayerConfig config)
    {
        MoeLayerShape shape = config.Shape;
        Config = config;
        MaxPairs = checked(config.MaxTokens * shape.TopK);
        Routing = new RoutingBuffers(context, config);
        _act = new DeviceArray(context, (long)MaxPairs * shape.IntermediateSize * sizeof(ushort));
        _partial = new DeviceArray(context, ForwardPlan.MaxPartialRows(MaxPairs) * shape.HiddenSize * sizeof(float));
        if (WgmmaProducts.RunOn(context.Device))
        {
            using CudaContextScope scope = context.MakeCurrent();
            GatheredRows = WgmmaTiles.OfTokens(Partial, shape.HiddenSize, MaxPairs);
            ActRows = WgmmaTiles.OfTokens(Act, shape.IntermediateSize, MaxPairs);
        }
    }

    public MoeLayerConfig Config { get; }

    public int MaxPairs { get; }

    public RoutingBuffers Routing { get; }

    /// <summary>[sorted pairs, intermediate] BF16.</summary>
    public nint Act => _act.Address;

    /// <summary>
    /// [splits, pairs, hidden] float32 for few tokens, [pairs, hidden] BF16 for many; before that, for many, [sorted pairs, hidden] BF16: the
    /// gathered rows.
    /// </summary>
    public nint Partial => _partial.Address;

    /// <summary>The gathered rows, where <see cref="WgmmaProducts"/> run.</summary>
    public CudaTensorMap GatheredRows { get; }

    /// <summary>The rows of <see cref="Act"/>, where <see cref="WgmmaProducts"/> run.</summary>
    public CudaTensorMap ActRows { get; }

    public long ByteCount => Routing.ByteCount + _act.ByteCount + _partial.ByteCount;

    public void Dispose()
    {
        Routing.Dispose();
        _act.Dispose();
        _partial.Dispose();
    }
}
