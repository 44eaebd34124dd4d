using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>ReadParameters</c> of <c>ceilings.cu</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ReadParameters
{
    public nint Source;
    public nint Sink;
    public long Count;
}
