using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>Chooses the widest kernel that the processor has; .NET's own switches (<c>DOTNET_EnableAVX512</c>, <c>DOTNET_EnableAVX2</c>) count.</summary>
internal static class PanelKernels
{
    public static PanelKernel For(MoeWeightFormat format) =>
        format == MoeWeightFormat.Mxfp4 ? For<Mxfp4Format>() : For<Bf16Format>();

    private static PanelKernel For<TFormat>()
        where TFormat : struct, IPanelFormat512, IPanelFormat256, IPanelFormat128
    {
        if (Avx512F.IsSupported && Vector512.IsHardwareAccelerated)
        {
            return new PanelKernel512<TFormat>();
        }

        return Avx2.IsSupported && Fma.IsSupported ? new PanelKernel256<TFormat>() : new PanelKernel128<TFormat>();
    }
}
