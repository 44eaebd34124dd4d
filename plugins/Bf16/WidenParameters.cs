using System.Runtime.InteropServices;

namespace Moe.Plugins.Bf16;

/// <summary><c>WidenParameters</c> of <c>load.cu</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct WidenParameters
{
    public nint Blocks;
    public nint Scales;
    public nint Out;
    public long Count;
}
