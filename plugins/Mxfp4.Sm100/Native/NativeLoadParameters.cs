using System.Runtime.InteropServices;

namespace Moe.Plugins.Sm100;

/// <summary><c>NativeLoadParameters</c> of <c>native_load.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeLoadParameters
{
    public nint Codes;
    public nint Scales;
    public nint OutCodes;
    public nint OutScales;
    public int Rows;
    public int Depth;
    public int PaddedRows;
    public int PaddedDepth;
    public int Halves;
}
