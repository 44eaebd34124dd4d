using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>One weight matrix of all experts on the device: BF16 [experts, rows, inputs], dense, and its float32 biases.</summary>
internal sealed class Bf16Matrix : DeviceArena
{
    public Bf16Matrix(CudaContext context, int experts, int rows, int inputs)
        : base(context)
    {
        Experts = experts;
        Rows = rows;
        Inputs = inputs;
        Weight = Allocate(experts * ExpertBytes);
    }

    public int Experts { get; }

    public int Rows { get; }

    public int Inputs { get; }

    public nint Weight { get; }

    /// <summary>[experts, rows] float32, or 0 where the layer has none.</summary>
    public nint Bias { get; private set; }

    /// <summary>[experts, rows] float32: what the products multiply their sums by; 0 where all are 1.</summary>
    public nint Factors { get; private set; }

    /// <summary>What <see cref="SharedBands"/> makes of shared experts' weights; null where there are none.</summary>
    public CudaTensorMap? Bands { get; set; }

    public long ExpertBytes => (long)Rows * Inputs * sizeof(ushort);

    public nint Expert(int expert) => checked((nint)(Weight + (expert * ExpertBytes)));

    /// <summary>Makes room for the biases of a matrix, if it has some.</summary>
    /// <returns>Their address; 0 where there are none.</returns>
    public nint AllocateBias(MoeExpertReader reader) => Bias = ExpertPieces.AllocateBias(this, reader, Experts);

    public void LoadFactors(float[] factors) => Factors = Upload<float>(factors);
}
