using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>FillParameters</c> of <c>ceilings.cu</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FillParameters
{
    public nint Target;
    public long Count;
}
