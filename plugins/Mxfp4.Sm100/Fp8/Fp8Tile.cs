using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>How a block of <c>mxfp4_fp8.cu</c> is compiled for a tile: the host's twin of its constants.</summary>
/// <param name="Tokens">The most tokens of the tile.</param>
/// <param name="Groups">Warpgroups that multiply.</param>
/// <param name="Stages">Stages of 128 inputs.</param>
/// <param name="Registers">Of a thread that multiplies, once the loading ones have given theirs back.</param>
internal sealed record Fp8Tile(int Tokens, int Groups, int Stages, int Registers)
{
    /// <summary>Weight rows of a tile: as many neurons share a scale as the second product adds at a time.</summary>
    public const int Rows = 256;

    /// <summary>Inputs of a stage, which share a token's scale.</summary>
    public const int Chunk = 128;

    /// <summary>The most experts of a layer.</summary>
    public const int MaxExperts = 512;

    private const int LoaderRegisters = 40;
    private const int OutBytes = 5120;

    /// <summary><c>StoreE4m3::kLargestBytes</c> of a warpgroup.</summary>
    private const int LargestBytes = 1024;

    /// <summary><c>kNumberBytes</c> of <c>tile_scheduler.cuh</c>.</summary>
    private const int NumberBytes = 640;
    private const int TableBytes = 2 * (MaxExperts + 4) * sizeof(int);
    private const int BarrierBytes = 16;
    private const int AlignmentBytes = 1024;

    /// <summary>The one there is.</summary>
    public static Fp8Tile Only { get; } = new(128, 2, 6, 232);

    /// <summary>Threads of a block: the warpgroups that multiply, and one that loads.</summary>
    public int Threads => 128 * (Groups + 1);

    /// <summary>Dynamic shared memory of a block, <c>kSharedBytes</c>.</summary>
    public int SharedBytes =>
        (Stages * (StageBytes + BarrierBytes)) + (Groups * (OutBytes + LargestBytes + (Tokens * sizeof(int)))) + TableBytes + NumberBytes + AlignmentBytes;

    public string FirstEntry => $"moe_mxfp4_fp8_product1{Arguments}";

    public string SecondEntry => $"moe_mxfp4_fp8_product2{Arguments}";

    public KernelUnit Unit => new("mxfp4_fp8.cu", FirstEntry, SecondEntry);

    private int StageBytes =>
        (Tokens * (Chunk + 1)) + (Chunk / Mxfp4Layout.GroupDepth * (Rows / Mxfp4Layout.GroupRows) * Mxfp4Layout.GroupBytes);

    private string Arguments => $"<{Tokens}, {Groups}, {Stages}, {Registers}, {LoaderRegisters}, {SharedBytes}>";
}
