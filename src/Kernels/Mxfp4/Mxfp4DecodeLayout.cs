namespace Moe.Plugins.Kernels;

/// <summary>How a block of <c>mxfp4_decode.cu</c> divides its shared memory.</summary>
/// <param name="Slots">Slots of the ring that weights stream through.</param>
/// <param name="SlotBytes">Bytes of a slot: the largest piece of the two products.</param>
/// <param name="TokenBytes">Bytes from one token to the next.</param>
/// <param name="SharedBytes">All of it.</param>
internal sealed record Mxfp4DecodeLayout(int Slots, int SlotBytes, int TokenBytes, int SharedBytes)
{
    /// <summary>Threads of a block: 16 warps that multiply, 4 that sum, one for tokens and one for weights.</summary>
    public const int Threads = 22 * 32;

    private const int Parts = 8;
    private const int MaxPieceSteps = 48;
    private const int MaxSlots = 16;
    private const int CopyAlignment = 128;

    /// <summary>Below this the ring does not cover the memory's latency, and other kernels are better.</summary>
    private const int MinSlots = 3;

    /// <summary><c>kSumBase</c> and <c>kSums</c> of the kernel.</summary>
    private const int BarrierBytes = 512;
    private const int Sums = 4;
    private const int SumBytes = 512;

    /// <summary>What the kernel declares itself to round to MXFP8: 16 pairs of tokens of 16 bytes, twice.</summary>
    private const int RoundingBytes = 512;

    /// <summary>The layout, or null where the tokens of a shape leave too little of the device's shared memory.</summary>
    public static Mxfp4DecodeLayout? For(int tokens, MoeLayerShape shape, int sharedBytes, Mxfp4Activations activations)
    {
        sharedBytes -= activations == Mxfp4Activations.Mxfp8 ? RoundingBytes : 0;
        int steps = Mxfp4Layout.Steps(Math.Max(shape.HiddenSize, shape.IntermediateSize));
        int slot = Aligned(PieceSteps(steps) * Mxfp4Layout.GroupBytes);
        int token = (steps * Mxfp4Layout.GroupDepth * sizeof(ushort)) + 16;
        int fixedBytes = Aligned(BarrierBytes + (Sums * Parts * (tokens / 8) * SumBytes) + (tokens * token));
        int slots = Math.Min(MaxSlots, (sharedBytes - fixedBytes) / slot);
        return slots < MinSlots ? null : new Mxfp4DecodeLayout(slots, slot, token, fixedBytes + (slots * slot));
    }

    /// <summary>Steps that one copy brings of an inner dimension of so many: a multiple of the warps that share it.</summary>
    public static int PieceSteps(int steps) => Math.Min(MaxPieceSteps, (steps + Parts - 1) / Parts * Parts);

    /// <summary>The same where the inner dimension is divided into so many parts.</summary>
    public static int PieceSteps(int depth, int splits) => PieceSteps((Mxfp4Layout.Steps(depth) + splits - 1) / splits);

    private static int Aligned(int bytes) => (bytes + CopyAlignment - 1) / CopyAlignment * CopyAlignment;
}
