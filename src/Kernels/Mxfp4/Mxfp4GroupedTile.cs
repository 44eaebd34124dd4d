namespace Moe.Plugins.Kernels;

/// <summary>How a block of <c>mxfp4_prefill.cu</c> is compiled for a tile: as many stages as its shared memory holds.</summary>
/// <param name="Tokens">The most tokens of the tile.</param>
/// <param name="Rows">Weight rows of the tile.</param>
/// <param name="Blocks">Thread blocks a multiprocessor.</param>
/// <param name="Stages">Stages of 64 inputs.</param>
/// <param name="SharedBytes">Dynamic shared memory, <c>kSharedBytes</c> of the kernel.</param>
internal sealed record Mxfp4GroupedTile(int Tokens, int Rows, int Blocks, int Stages, int SharedBytes)
{
    /// <summary>Compute capability 9.0: shared memory of a multiprocessor, and what each block takes of it for the system.</summary>
    private const int MultiprocessorSharedBytes = 228 << 10;
    private const int SystemSharedBytes = 1 << 10;
    private const int MaxStages = 16;
    private const int OutBytes = 4096;
    private const int TableBytes = 2 * (RoutingKernels.MaxExperts + 4) * sizeof(int);
    private const int AlignmentBytes = 1024;
    private const int BarrierBytes = 16;

    /// <summary><c>kLoaderRegisters</c> of the kernel.</summary>
    private const int LoaderRegisters = 24;

    private int Groups => Rows / 64;

    /// <summary>Threads of a block: a warpgroup for 64 rows each, and one that loads.</summary>
    public int Threads => 128 * (Groups + 1);

    public KernelUnit Unit(Mxfp4Activations activations) => new(
        "mxfp4_prefill.cu",
        [
            $"MOE_TOKENS={Tokens}",
            $"MOE_ROWS={Rows}",
            $"MOE_BLOCKS={Blocks}",
            $"MOE_STAGES={Stages}",
            $"MOE_GROUP_REGISTERS={Registers}",
            $"MOE_SHARED_BYTES={SharedBytes}",
            .. Mxfp4Macros.Of(activations),
        ]);

    /// <summary>
    /// What a multiplying thread may raise its registers to, in steps of 8: a launch takes an even share of the multiprocessor's 65,536 for
    /// each thread, and there are no others to be had than what the loading warpgroup gives back.
    /// </summary>
    private int Registers
    {
        get
        {
            int atLaunch = 65536 / Blocks / Threads / 8 * 8;
            return Math.Min(240, ((atLaunch * (Groups + 1)) - LoaderRegisters) / Groups / 8 * 8);
        }
    }

    public static Mxfp4GroupedTile Of(Mxfp4Variant variant)
    {
        // Narrow tiles have registers for two blocks, of which one loads and stores while the other multiplies.
        int blocks = variant is { Tokens: 64, Rows: 128 } ? 2 : 1;
        int fixedBytes = (variant.Rows / 64 * OutBytes) + TableBytes + AlignmentBytes;
        int stage = (variant.Tokens * Mxfp4Layout.GroupDepth * sizeof(ushort)) + (variant.Rows / Mxfp4Layout.GroupRows * Mxfp4Layout.GroupBytes);
        int room = (MultiprocessorSharedBytes / blocks) - SystemSharedBytes - fixedBytes;
        int stages = Math.Min(MaxStages, room / (stage + BarrierBytes));
        return new Mxfp4GroupedTile(variant.Tokens, variant.Rows, blocks, stages, fixedBytes + (stages * (stage + BarrierBytes)));
    }
}
