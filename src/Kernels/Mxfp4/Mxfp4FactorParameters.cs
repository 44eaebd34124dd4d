using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>Mxfp4FactorParameters</c> of <c>mxfp4_load.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Mxfp4FactorParameters
{
    public nint Scales;
    public nint Factor;
    public nint Any;
    public int Rows;
    public int Depth;
}
