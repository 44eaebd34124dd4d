using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>One weight matrix of all experts on the device: BF16 [experts, rows, inputs], dense, and its float32 biases.</summary>
internal sealed class Bf16Matrix(CudaContext context, int experts, int rows, int inputs) : IDisposable
{
    private readonly DeviceArray _weight = new(context, (long)experts * rows * inputs * sizeof(ushort));
    private DeviceArray? _bias;

    public int Rows { get; } = rows;

    public int Inputs { get; } = inputs;

    public nint Weight => _weight.Address;

    /// <summary>[experts, rows] float32, or 0 where the layer has none.</summary>
    public nint Bias => _bias?.Address ?? 0;

    public long ByteCount => _weight.ByteCount + (_bias?.ByteCount ?? 0);

    /// <summary>Bytes of one expert's weights.</summary>
    public long ExpertBytes => (long)Rows * Inputs * sizeof(ushort);

    public nint Expert(int expert) => checked((nint)(_weight.Address + (expert * ExpertBytes)));

    public void LoadBias(in MoeTensorView bias)
    {
        if (!bias.IsEmpty)
        {
            _bias = HostFloats.Upload(context, bias);
        }
    }

    public void Dispose()
    {
        _weight.Dispose();
        _bias?.Dispose();
    }
}
