namespace Moe.Plugins.Kernels;

/// <summary>How a block of <c>mxfp4_decode.cu</c> divides its shared memory.</summary>
/// <param name="Slots">Slots of the ring that weights stream through.</param>
/// <param name="SlotBytes">Bytes of a slot: the larger chunk of the two products.</param>
/// <param name="TokenBytes">Bytes from one token to the next.</param>
/// <param name="SharedBytes">All of it.</param>
internal sealed record Mxfp4DecodeLayout(int Slots, int SlotBytes, int TokenBytes, int SharedBytes)
{
    private const int Warps = 8;
    private const int MaxSlots = 64;
    private const int CopyAlignment = 128;

    /// <summary>Below this the ring does not cover the memory's latency, and other kernels are better.</summary>
    private const int MinSlots = 16;

    /// <summary><c>kSumBase</c> and <c>kSums</c> of the kernel.</summary>
    private const int BarrierBytes = 1280;
    private const int Sums = 4;
    private const int SumBytes = 512;

    /// <summary>The layout, or null where the tokens of a shape leave too little of the device's shared memory.</summary>
    public static Mxfp4DecodeLayout? For(int tokens, MoeLayerShape shape, int sharedBytes)
    {
        int steps = Mxfp4Layout.Steps(Math.Max(shape.HiddenSize, shape.IntermediateSize));
        int slot = Aligned(Chunk(steps) * Mxfp4Layout.GroupBytes);
        int token = (steps * Mxfp4Layout.GroupDepth * sizeof(ushort)) + 16;
        int fixedBytes = Aligned(BarrierBytes + (Sums * Warps * (tokens / 8) * SumBytes) + (tokens * token));
        int slots = Math.Min(MaxSlots, (sharedBytes - fixedBytes) / slot);
        return slots < MinSlots ? null : new Mxfp4DecodeLayout(slots, slot, token, fixedBytes + (slots * slot));
    }

    /// <summary>Steps of the inner dimension that a warp takes of so many.</summary>
    public static int Chunk(int steps) => (steps + Warps - 1) / Warps;

    private static int Aligned(int bytes) => (bytes + CopyAlignment - 1) / CopyAlignment * CopyAlignment;
}
