using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>One compilation of <c>bf16_decode.cu</c>: the most tokens of a tile, and the tile that streams best with them.</summary>
/// <param name="Tokens">Tokens of a tile.</param>
/// <param name="Rows">Weight rows of a tile.</param>
/// <param name="Depth">Inputs of a pipeline stage.</param>
/// <param name="Stages">Pipeline stages, as many as the device's shared memory holds.</param>
internal readonly record struct Bf16DecodeVariant(int Tokens, int Rows, int Depth, int Stages)
{
    private const int Warps = 8;
    private const int CopyWarps = 4;
    private const int WarpSize = 32;
    private const int LargeShared = 220 << 10;
    private const int MediumShared = 160 << 10;

    /// <summary>Threads of a block: those that multiply, and those that only start copies.</summary>
    public static int Threads => (Warps + CopyWarps) * WarpSize;

    public KernelUnit Unit => new("bf16_decode.cu", [.. ActivationConstants.Types.Select(GateUpEntry), DownEntry]);

    public string GateUpEntry(string activation) => $"bf16_decode_gate_up<{Arguments}, {activation}>";

    public string DownEntry => $"bf16_decode_down<{Arguments}>";

    private string Arguments => $"{Rows}, {Tokens}, {Depth}, {Stages}, {CopyWarps}";

    /// <summary>Dynamic shared memory: the stages (with strides that avoid bank conflicts), the sums of the warps that split the inner
    /// dimension, two barriers a stage. The same formula as in <c>bf16_decode.cu</c>.</summary>
    public int SharedBytes
    {
        get
        {
            int stage = (Rows * ((2 * Depth) + 32)) + (Tokens * ((2 * Depth) + 64));
            int rowWarps = Rows / 16;
            int sums = ((Warps / rowWarps) - 1) * rowWarps * (Tokens / 8) * 512;
            return (Stages * stage) + sums + (16 * Stages);
        }
    }

    /// <summary>The variants for a device, by its shared memory a block.</summary>
    public static IReadOnlyList<Bf16DecodeVariant> For(int sharedBytesPerBlock)
    {
        int size = sharedBytesPerBlock >= LargeShared ? 0 : sharedBytesPerBlock >= MediumShared ? 1 : 2;
        return
        [
            new(8, 64, 128, Pick(size, 10, 7, 4)),
            new(16, 64, 128, Pick(size, 9, 6, 4)),
            new(32, 64, 128, Pick(size, 6, 5, 3)),
        ];
    }

    /// <summary>The shared memory a block of an architecture, for compiling without the device (CUDA programming guide, compute capabilities).</summary>
    public static int SharedBytesOf(CudaArchitecture architecture) => architecture.Number switch
    {
        80 or 87 => 163 << 10,
        < 90 or >= 120 => 99 << 10,
        _ => 227 << 10,
    };

    private static int Pick(int size, int large, int medium, int small) => size == 0 ? large : size == 1 ? medium : small;
}
