using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>GatherParameters</c> of <c>gather.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GatherParameters
{
    public nint X;
    public nint Out;
    public nint SortedPairs;
    public nint ExpertOffsets;
    public nint Counters;
    public long XStride;
    public int Columns;
    public int TopK;
    public int Experts;
    public int Pairs;
}
