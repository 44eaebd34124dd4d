using System.Runtime.InteropServices;

namespace Moe.Plugins.Bf16;

/// <summary><c>TransposeParameters</c> of <c>load.cu</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TransposeParameters
{
    public nint Source;
    public nint Out;
    public int Inputs;
    public int Rows;
}
