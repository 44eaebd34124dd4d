using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>SortParameters</c> of <c>sort.cu</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SortParameters
{
    public nint Ids;
    public SortTarget Target;
    public int Pairs;
    public int Experts;
}
