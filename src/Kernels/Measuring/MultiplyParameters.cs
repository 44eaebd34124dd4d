using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>MultiplyParameters</c> of <c>ceilings.cu</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MultiplyParameters
{
    public nint Source;
    public nint Sink;
    public int Rounds;
}
