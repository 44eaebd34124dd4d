using System.Runtime.InteropServices;

namespace Moe.Plugins.Sm100;

/// <summary><c>QuantizeParameters</c> of <c>quantize.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct QuantizeParameters
{
    public nint Source;
    public nint Codes;
    public nint Scales;
    public long SourceStride;
    public int Tokens;
    public int Hidden;
    public int Padded;
    public int ScaleColumns;
    public int ScaleRows;
    public int Swizzled;
}
