using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>GatherMxfp8Parameters</c> of <c>gather_mxfp8.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GatherMxfp8Parameters
{
    public nint Codes;
    public nint Scales;
    public nint Out;
    public nint SortedPairs;
    public int Stride;
    public int Columns;
    public int Rows;
    public int TopK;
    public nint Pairs;
    public nint Counters;
    public int Experts;
}
