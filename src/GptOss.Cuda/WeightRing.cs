using System.Runtime.InteropServices;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>Where a block's ring of weights lies in shared memory: <c>RingShape</c> in <c>gpt_oss_weight_ring.cuh</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct WeightRing
{
    public const int GroupRows = 8;

    private const int MostGroups = 8;
    private const int HeadRowsBegin = 128;

    /// <summary>More than what kernels with a ring have of static shared memory.</summary>
    private const int StaticBytes = 1280;

    public int Begin;
    public int Stride;
    public int Groups;
    private readonly int _reserved;

    /// <summary>As many groups of rows as there is room for behind what a block needs besides.</summary>
    public WeightRing(int begin, int inputs, int sharedBytes)
    {
        // Rows that are read together begin in different banks.
        Begin = (begin + 15) / 16 * 16;
        Stride = (((inputs * sizeof(ushort)) + 127) / 128 * 128) + 64;
        Groups = Math.Min(MostGroups, (sharedBytes - StaticBytes - Begin) / (GroupRows * Stride));
    }

    /// <summary>Bytes of dynamic shared memory, up to the ring's end.</summary>
    public readonly int SharedBytes => Begin + (Groups * GroupRows * Stride);

    /// <summary>The ring of <see cref="ModelKernels.NormHead"/>.</summary>
    public static WeightRing OfHead(int sharedBytes, GptOssConfig config) => new(HeadRowsBegin + NormedRowBytes(config.HiddenSize), config.HiddenSize, sharedBytes);

    /// <summary>Bytes of the rows that are multiplied.</summary>
    public static int NormedRowBytes(int inputs) => ModelKernels.NormedTokens * (inputs + ProductKernels.RowGap) * sizeof(ushort);
}
