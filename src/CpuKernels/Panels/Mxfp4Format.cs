using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>
/// MXFP4: a word holds the E2M1 codes of eight inputs, the lowest nibble the first; the codes are looked up in a register
/// (OCP Microscaling Formats v1.0, §5.3.3 for E2M1).
/// </summary>
internal readonly unsafe struct Mxfp4Format : IPanelFormat512, IPanelFormat128
{
    private static Vector512<float> Values => Vector512.Create(0f, 0.5f, 1f, 1.5f, 2f, 3f, 4f, 6f, -0f, -0.5f, -1f, -1.5f, -2f, -3f, -4f, -6f);

    static int IPanelFormat512.PairsOfWord => 4;

    static int IPanelFormat128.PairsOfWord => 4;

    // The permutation looks at the low four bits of an index alone, so the first code needs no mask.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<float> IPanelFormat512.First(Vector512<uint> word) => Avx512F.PermuteVar16x32(Values, word.AsInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<float> IPanelFormat512.Second(Vector512<uint> word) => Avx512F.PermuteVar16x32(Values, (word >>> 4).AsInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<uint> IPanelFormat512.Next(Vector512<uint> word) => word >>> 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<float> IPanelFormat512.Scale(byte* scales) => ScaleFactors.Load16(scales);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> IPanelFormat128.First(Vector128<uint> word) => Arithmetic(word);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> IPanelFormat128.Second(Vector128<uint> word) => Arithmetic(word >>> 4);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<uint> IPanelFormat128.Next(Vector128<uint> word) => word >>> 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> IPanelFormat128.Scale(byte* scales) => ScaleFactors.Load4(scales);

    /// <summary>
    /// Without a lookup that every processor has: the code's exponent and mantissa go to the float's places, and one multiplication by
    /// 2^126 mends the bias; it turns the code's subnormal 0.5, which is a float subnormal here, into its value, too.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Arithmetic(Vector128<uint> code)
    {
        Vector128<uint> magnitude = (code & Vector128.Create(7u)) << 22;
        Vector128<uint> sign = (code & Vector128.Create(8u)) << 28;
        return (magnitude | sign).AsSingle() * Vector128.Create(8.507059173023462e37f);
    }
}
