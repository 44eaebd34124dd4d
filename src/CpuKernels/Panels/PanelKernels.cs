using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>Chooses the kernels for this processor; .NET's own switches (<c>DOTNET_EnableAVX512</c>, <c>DOTNET_EnableAVX2</c>) count.</summary>
internal static class PanelKernels
{
    private static bool HasAvx512 => Avx512BW.IsSupported && Vector512.IsHardwareAccelerated;

    private static bool HasAvx2 => Avx2.IsSupported && Fma.IsSupported;

    /// <summary>The kernel that computes in float32. Where digits take every number of tokens it is asked for what digits cannot say alone.</summary>
    public static PanelKernel For(MoeWeightFormat format)
    {
        bool isMxfp4 = format == MoeWeightFormat.Mxfp4;
        if (HasAvx512)
        {
            return isMxfp4 ? new PanelKernel512<Mxfp4Format>() : new PanelKernel512<Bf16Format>();
        }

        if (isMxfp4)
        {
            return new PanelKernel128<Mxfp4Format>();
        }

        return HasAvx2 ? new PanelKernel256() : new PanelKernel128<Bf16Format>();
    }

    /// <summary>The kernel that computes with digits; null for formats and processors without.</summary>
    /// <param name="format">The weights' format.</param>
    /// <param name="isCoarse">Whether results are rounded to BF16 in the end.</param>
    public static DigitKernel? DigitsFor(MoeWeightFormat format, bool isCoarse) =>
        format != MoeWeightFormat.Mxfp4 ? null : isCoarse ? DigitsFor<Digits.Coarse>() : DigitsFor<Digits.Fine>();

    /// <summary>The instructions that a format's products use, for people.</summary>
    public static string Name(MoeWeightFormat format) => DigitsFor(format, isCoarse: true)?.Name ?? For(format).Name;

    private static DigitKernel? DigitsFor<TDigits>()
        where TDigits : struct, IDigits
    {
        if (HasAvx512)
        {
            return VnniKernel512<TDigits>.Instance ?? (DigitKernel)new DigitKernel512<TDigits>();
        }

        if (HasAvx2)
        {
            return new DigitKernel256<TDigits>();
        }

        return Dp.IsSupported ? new DigitKernelArm<TDigits>() : null;
    }
}
