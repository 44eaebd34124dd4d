namespace Moe.Plugins.Kernels;

/// <summary>How a block of <c>mxfp4_grouped.cuh</c> is compiled for a tile: as many stages as its shared memory holds.</summary>
/// <param name="Tokens">The most tokens of the tile.</param>
/// <param name="Rows">Weight rows of the tile.</param>
/// <param name="Blocks">Thread blocks per multiprocessor.</param>
/// <param name="Steps">K-blocks of 64 inputs per stage.</param>
/// <param name="Stages">Stages.</param>
/// <param name="SharedBytes">Dynamic shared memory, <c>kSharedBytes</c> of the kernel.</param>
/// <param name="Activation">The activation, as <see cref="ActivationConstants"/> names it.</param>
internal sealed record Mxfp4GroupedTile(int Tokens, int Rows, int Blocks, int Steps, int Stages, int SharedBytes, string Activation)
{
    /// <summary>Compute capability 9.0: shared memory of a multiprocessor, and what each block takes of it for the system.</summary>
    internal const int MultiprocessorSharedBytes = 228 << 10;
    internal const int SystemSharedBytes = 1 << 10;
    private const int OutBytes = 4096;

    /// <summary>The most experts of a layer with the common activation, which has a stage more for the room that a table of more would take.</summary>
    private const int FewExperts = 512;

    /// <summary><c>kNumberBytes</c> of <c>tile_scheduler.cuh</c>.</summary>
    internal const int NumberBytes = 640;

    /// <summary>With so many columns a step's products take as long as what a warpgroup does between them.</summary>
    private const int MostTokensOfTwoSteps = 96;

    internal const int AlignmentBytes = 1024;
    internal const int BarrierBytes = 16;

    /// <summary>What a warpgroup needs to round to MXFP8, <c>RoundMxfp8</c>; beside the dynamic part.</summary>
    internal const int RoundingBytes = 512;

    /// <summary><c>kLoaderRegisters</c> of the kernel.</summary>
    private const int LoaderRegisters = 40;

    private int Groups => Rows / 64;

    /// <summary>Threads of a block: a warpgroup for 64 rows each, and one that loads.</summary>
    public int Threads => 128 * (Groups + 1);

    /// <summary>The first product.</summary>
    public KernelUnit First(Mxfp4Activations activations, Mxfp4Dealing dealing) =>
        new(FileOf(activations), $"moe_mxfp4_product1{Arguments(activations, dealing)}");

    /// <summary>The second product: one for both kinds of activations, as it rounds nothing to MXFP8. Codes that are dealt for E4M3 have a file that knows them.</summary>
    public KernelUnit Second(Mxfp4Dealing dealing)
    {
        Mxfp4Activations either = dealing == Mxfp4Dealing.E4M3 ? Mxfp4Activations.Mxfp8 : Mxfp4Activations.BFloat16;
        return new(FileOf(either), $"moe_mxfp4_product2{Arguments(either, dealing)}");
    }

    /// <summary>The kernels' argument for how activations are rounded.</summary>
    internal static string Rounding(Mxfp4Activations activations) => activations == Mxfp4Activations.Mxfp8 ? "RoundMxfp8" : "RoundBf16";

    private string Arguments(Mxfp4Activations activations, Mxfp4Dealing dealing)
    {
        string activation = dealing == Mxfp4Dealing.E4M3 ? $", {Activation}, {FewExperts}, DealtForE4m3"
            : Activation == ActivationConstants.Silu ? "" : $", {Activation}, {RoutingBuffers.MaxExperts}";
        return $"<{Tokens}, {Rows}, {Blocks}, {Steps}, {Stages}, {Registers}, {SharedBytes}, {Rounding(activations)}{activation}>";
    }

    private static string FileOf(Mxfp4Activations activations) =>
        activations == Mxfp4Activations.Mxfp8 ? "mxfp4_grouped_mxfp8.cu" : "mxfp4_grouped.cu";

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

    /// <summary>The activation that kernels for a layer are compiled with.</summary>
    public static string ActivationOf(MoeLayerShape shape)
    {
        string own = ActivationConstants.TypeOf(shape.Activation);
        return own == ActivationConstants.Silu && shape.LocalExpertCount > FewExperts ? ActivationConstants.Gated : own;
    }

    public static Mxfp4GroupedTile Of(Mxfp4Variant variant, string activation)
    {
        int blocks = BlocksOf(variant);
        int steps = StepsOf(variant);
        int groups = variant.Rows / 64;
        int tableBytes = 2 * ((activation == ActivationConstants.Silu ? FewExperts : RoutingBuffers.MaxExperts) + 4) * sizeof(int);
        int fixedBytes = (groups * (OutBytes + (variant.Tokens * sizeof(int)))) + tableBytes + NumberBytes + AlignmentBytes;
        int stage = steps * ((variant.Tokens * Mxfp4Layout.GroupDepth * sizeof(ushort)) + (variant.Rows / Mxfp4Layout.GroupRows * Mxfp4Layout.GroupBytes));
        int room = (MultiprocessorSharedBytes / blocks) - SystemSharedBytes - (groups * RoundingBytes) - fixedBytes;
        int stages = room / (stage + BarrierBytes);
        return new Mxfp4GroupedTile(variant.Tokens, variant.Rows, blocks, steps, stages, fixedBytes + (stages * (stage + BarrierBytes)), activation);
    }

    /// <summary>Thread blocks per multiprocessor. Small tiles have registers for several, of which some load and store while others multiply.</summary>
    public static int BlocksOf(Mxfp4Variant variant) => variant.Rows switch { 64 => 3, 128 => 2, _ => 1 };

    /// <summary>K-blocks per stage: two where one is little to wait for. In stages of more tokens too much would come at once.</summary>
    public static int StepsOf(Mxfp4Variant variant) => variant.Rows <= 128 || variant.Tokens <= MostTokensOfTwoSteps ? 2 : 1;
}
