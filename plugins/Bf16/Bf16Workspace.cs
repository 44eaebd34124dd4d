using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>The device buffers of one stream's forwards.</summary>
internal sealed class Bf16Workspace : IMoeWorkspace
{
    private readonly DeviceArray? _gathered;
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
            _gathered = new DeviceArray(context, (long)MaxPairs * shape.HiddenSize * sizeof(ushort));
            GatheredRows = WgmmaTiles.OfTokens(Gathered, shape.HiddenSize, MaxPairs);
            ActRows = WgmmaTiles.OfTokens(Act, shape.IntermediateSize, MaxPairs);
        }
    }

    public MoeLayerConfig Config { get; }

    public int MaxPairs { get; }

    public RoutingBuffers Routing { get; }

    /// <summary>[sorted pairs, intermediate] BF16.</summary>
    public nint Act => _act.Address;

    /// <summary>[splits, pairs, hidden] float32 for few tokens, [pairs, hidden] BF16 for many.</summary>
    public nint Partial => _partial.Address;

    /// <summary>
    /// [sorted pairs, hidden] BF16, where <see cref="WgmmaProducts"/> run. Not the partial results' memory, which the second product writes while the
    /// first still reads this.
    /// </summary>
    public nint Gathered => _gathered?.Address ?? 0;

    /// <summary>The gathered rows, where <see cref="WgmmaProducts"/> run.</summary>
    public CudaTensorMap GatheredRows { get; }

    /// <summary>The rows of <see cref="Act"/>, where <see cref="WgmmaProducts"/> run.</summary>
    public CudaTensorMap ActRows { get; }

    public long ByteCount => Routing.ByteCount + _act.ByteCount + _partial.ByteCount + (_gathered?.ByteCount ?? 0);

    public void Dispose()
    {
        Routing.Dispose();
        _gathered?.Dispose();
        _act.Dispose();
        _partial.Dispose();
    }
}
