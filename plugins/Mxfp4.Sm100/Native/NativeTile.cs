using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>One compilation of <c>native.cu</c>: the most tokens of a tile, and as many stages as shared memory holds.</summary>
/// <param name="Tokens">Tokens of a tile, a multiple of 16.</param>
internal readonly record struct NativeTile(int Tokens)
{
    /// <summary>Threads of a block.</summary>
    public const int Threads = 256;

    /// <summary>What a block of compute capability 10.0 may have (CUDA programming guide, "Technical specifications per compute capability").</summary>
    private const int MaxSharedBytes = 232448;
    private const int MaxStages = 16;
    private const int ScheduleBytes = 2 * (RoutingBuffers.MaxExperts + 4) * sizeof(int);

    /// <summary>For few tokens per expert, and for many: two sets of 2 · 112 columns and the scales fill tensor memory.</summary>
    public static IReadOnlyList<NativeTile> All { get; } = [new(32), new(112)];

    public KernelUnit Unit => new("native.cu", FirstEntry, SecondEntry);

    public string FirstEntry => Entry(1);

    public string SecondEntry => Entry(2);

    /// <summary>The tile for a number of pairs. Not measured: nobody has run it.</summary>
    public static NativeTile For(int pairs, int experts) => All[pairs <= 16L * experts ? 0 : 1];

    /// <summary>Dynamic shared memory: the stages, the schedule, the barriers, and room to align them. The same formula as in <c>native.cu</c>.</summary>
    /// <param name="halves">Accumulators of a tile.</param>
    public int SharedBytes(int halves) => SharedBytes(halves, Stages(halves));

    private string Entry(int product) =>
        $"moe_native_product{product}<{Tokens}, {Stages(2)}, {Stages(1)}, {SharedBytes(2)}, {SharedBytes(1)}>";

    private int Stages(int halves)
    {
        int stages = MaxStages;
        while (SharedBytes(halves, stages) > MaxSharedBytes)
        {
            stages--;
        }

        return stages;
    }

    private int SharedBytes(int halves, int stages)
    {
        int stage = ((NativeLayout.MmaRows * halves) + Tokens) * NativeLayout.StepDepth;
        int scales = (halves + 1) * Mxfp8Layout.TileBytes;
        return (stages * (stage + scales)) + ScheduleBytes + (((2 * stages) + 4) * sizeof(ulong)) + 16 + 1024;
    }
}
