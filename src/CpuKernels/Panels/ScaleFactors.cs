using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>MXFP4's scale factors, E8M0 (OCP Microscaling Formats v1.0, §5.4.1): a byte is the exponent field of the power of two that it means.</summary>
internal static unsafe class ScaleFactors
{
    /// <summary>Where a float32's exponent field begins.</summary>
    public const int ExponentShift = 23;

    /// <summary>2^-127, the one power that has no exponent field of its own.</summary>
    public const uint Smallest = 0x0040_0000;

    /// <summary>The byte that means none.</summary>
    public const uint NotANumber = 255;

    /// <summary>What that byte is as a float32.</summary>
    public const uint QuietNaN = 0x7FC0_0000;

    /// <summary>Reads 16 neighbouring factors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load16(byte* scales)
    {
        Vector512<uint> exponent = Avx512F.ConvertToVector512UInt32(Vector128.Load(scales));
        Vector512<uint> bits = Vector512.Max(exponent << ExponentShift, Vector512.Create(Smallest));
        return Vector512.ConditionalSelect(
            Vector512.Equals(exponent, Vector512.Create(NotANumber)), Vector512.Create(QuietNaN), bits).AsSingle();
    }

    /// <summary>Reads 8 neighbouring factors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load8(byte* scales)
    {
        Vector256<uint> exponent = Avx2.ConvertToVector256Int32(scales).AsUInt32();
        Vector256<uint> bits = Vector256.Max(exponent << ExponentShift, Vector256.Create(Smallest));
        return Vector256.ConditionalSelect(
            Vector256.Equals(exponent, Vector256.Create(NotANumber)), Vector256.Create(QuietNaN), bits).AsSingle();
    }

    /// <summary>Reads 4 neighbouring factors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Load4(byte* scales)
    {
        Vector128<byte> four = Vector128.CreateScalar(Unsafe.ReadUnaligned<uint>(scales)).AsByte();
        Vector128<uint> exponent = Vector128.WidenLower(Vector128.WidenLower(four));
        Vector128<uint> bits = Vector128.Max(exponent << ExponentShift, Vector128.Create(Smallest));
        return Vector128.ConditionalSelect(
            Vector128.Equals(exponent, Vector128.Create(NotANumber)), Vector128.Create(QuietNaN), bits).AsSingle();
    }
}
