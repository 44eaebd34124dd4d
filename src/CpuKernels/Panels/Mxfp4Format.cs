using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>
/// MXFP4: a byte a row holds the E2M1 codes of a pair of inputs, the low nibble the first; the codes are looked up in a register
/// (OCP Microscaling Formats v1.0, §5.3.3 for E2M1, §5.4.1 for E8M0).
/// </summary>
internal readonly unsafe struct Mxfp4Format : IPanelFormat512, IPanelFormat256, IPanelFormat128
{
    /// <summary>An E8M0 byte is the exponent field of the power of two that it means.</summary>
    private const int ExponentShift = 23;

    /// <summary>2^-127, the one power that has no exponent field of its own.</summary>
    private const uint Smallest = 0x0040_0000;

    private const uint QuietNaN = 0x7FC0_0000;

    private static Vector512<float> Values => Vector512.Create(0f, 0.5f, 1f, 1.5f, 2f, 3f, 4f, 6f, -0f, -0.5f, -1f, -1.5f, -2f, -3f, -4f, -6f);

    static int IPanelFormat512.PairBytes => PanelKernel.Rows;

    static int IPanelFormat256.PairBytes => PanelKernel.Rows;

    static int IPanelFormat128.PairBytes => PanelKernel.Rows;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<uint> IPanelFormat512.Load(byte* codes) => Avx512F.ConvertToVector512UInt32(Vector128.Load(codes));

    // The permutation looks at the low four bits of an index alone, so the first code needs no mask.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<float> IPanelFormat512.First(Vector512<uint> pair) => Avx512F.PermuteVar16x32(Values, pair.AsInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<float> IPanelFormat512.Second(Vector512<uint> pair) => Avx512F.PermuteVar16x32(Values, (pair >>> 4).AsInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<float> IPanelFormat512.Scale(byte* scales)
    {
        Vector512<uint> exponent = Avx512F.ConvertToVector512UInt32(Vector128.Load(scales));
        Vector512<uint> bits = Vector512.ConditionalSelect(
            Vector512.Equals(exponent, Vector512<uint>.Zero), Vector512.Create(Smallest), exponent << ExponentShift);
        return Vector512.ConditionalSelect(
            Vector512.Equals(exponent, Vector512.Create(255u)), Vector512.Create(QuietNaN), bits).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<uint> IPanelFormat256.Load(byte* codes) => Avx2.ConvertToVector256Int32(codes).AsUInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> IPanelFormat256.First(Vector256<uint> pair) => Lookup(pair, pair << 28);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> IPanelFormat256.Second(Vector256<uint> pair) => Lookup(pair >>> 4, pair << 24);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> IPanelFormat256.Scale(byte* scales)
    {
        Vector256<uint> exponent = Avx2.ConvertToVector256Int32(scales).AsUInt32();
        Vector256<uint> bits = Vector256.ConditionalSelect(
            Vector256.Equals(exponent, Vector256<uint>.Zero), Vector256.Create(Smallest), exponent << ExponentShift);
        return Vector256.ConditionalSelect(
            Vector256.Equals(exponent, Vector256.Create(255u)), Vector256.Create(QuietNaN), bits).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<uint> IPanelFormat128.Load(byte* codes, int quarter) => Widen(codes + (quarter * 4));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> IPanelFormat128.First(Vector128<uint> pair) => Arithmetic(pair);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> IPanelFormat128.Second(Vector128<uint> pair) => Arithmetic(pair >>> 4);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> IPanelFormat128.Scale(byte* scales)
    {
        Vector128<uint> exponent = Widen(scales);
        Vector128<uint> bits = Vector128.ConditionalSelect(
            Vector128.Equals(exponent, Vector128<uint>.Zero), Vector128.Create(Smallest), exponent << ExponentShift);
        return Vector128.ConditionalSelect(
            Vector128.Equals(exponent, Vector128.Create(255u)), Vector128.Create(QuietNaN), bits).AsSingle();
    }

    /// <summary>Eight magnitudes fit a register of eight lanes; the sign is the code's fourth bit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Lookup(Vector256<uint> index, Vector256<uint> sign)
    {
        Vector256<float> magnitudes = Vector256.Create(0f, 0.5f, 1f, 1.5f, 2f, 3f, 4f, 6f);
        Vector256<float> value = Avx2.PermuteVar8x32(magnitudes, index.AsInt32());
        return (value.AsUInt32() ^ (sign & Vector256.Create(0x8000_0000u))).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Widen(byte* bytes)
    {
        Vector128<byte> four = Vector128.CreateScalar(Unsafe.ReadUnaligned<uint>(bytes)).AsByte();
        return Vector128.WidenLower(Vector128.WidenLower(four));
    }

    /// <summary>
    /// Without a lookup that every processor has: the code's exponent and mantissa go to the float's places, and one multiplication by
    /// 2^126 mends the bias; it turns the code's subnormal 0.5, which is a float subnormal here, into its value, too.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Arithmetic(Vector128<uint> code)
    {
        Vector128<uint> magnitude = (code & Vector128.Create(7u)) << (ExponentShift - 1);
        Vector128<uint> sign = (code & Vector128.Create(8u)) << 28;
        return (magnitude | sign).AsSingle() * Vector128.Create(8.507059173023462e37f);
    }
}
