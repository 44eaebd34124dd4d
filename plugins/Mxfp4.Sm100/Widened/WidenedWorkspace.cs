using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>The device buffers of one stream's forwards through <see cref="WidenedFamily"/>.</summary>
internal sealed class WidenedWorkspace : IMoeWorkspace
{
    private readonly DeviceArray _codes;
    private readonly DeviceArray _scales;

    public WidenedWorkspace(CudaContext context, MoeLayerConfig config, Mxfp4Plan plan)
    {
        Config = config;
        Columns = config.HiddenSize;
        Products = new Mxfp4Workspace(context, config, plan);
        _codes = new DeviceArray(context, (long)config.MaxTokens * Columns);
        _scales = new DeviceArray(context, Mxfp8Layout.ScaleBytes(config.MaxTokens, Columns, Mxfp8ScaleOrder.Linear));
    }

    public MoeLayerConfig Config { get; }

    /// <summary>What the products need.</summary>
    public Mxfp4Workspace Products { get; }

    /// <summary>Codes of a row: the padded hidden size.</summary>
    public int Columns { get; }

    /// <summary>[tokens, padded hidden] E4M3.</summary>
    public nint Codes => _codes.Address;

    /// <summary>[tokens, padded hidden / 32] E8M0.</summary>
    public nint Scales => _scales.Address;

    public long ByteCount => Products.ByteCount + _codes.ByteCount + _scales.ByteCount;

    public void Dispose()
    {
        Products.Dispose();
        _codes.Dispose();
        _scales.Dispose();
    }
}
