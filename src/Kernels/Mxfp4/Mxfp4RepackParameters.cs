using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>Mxfp4RepackParameters</c> of <c>mxfp4_load.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Mxfp4RepackParameters
{
    public nint Codes;
    public nint Scales;
    public nint Factor;
    public nint Out;
    public int Rows;
    public int Depth;
    public int GateUp;
}
