using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary><c>Mxfp4GroupedParameters</c> of <c>mxfp4_prefill.cu</c>, which says what each field is. Its size is a multiple of its alignment, 64.</summary>
[StructLayout(LayoutKind.Sequential, Size = 512)]
internal struct Mxfp4GroupedParameters
{
    public CudaTensorMap Weight;
    public CudaTensorMap Wide;
    public CudaTensorMap Narrow;
    public nint Bias;
    public nint Factor;
    public nint Out;
    public nint ExpertOffsets;
    public nint SortedPairs;
    public nint Counters;
    public long OutStride;
    public long PartStride;
    public int Parts;
    public int Rows;
    public int Depth;
    public int Experts;
    public float Alpha;
    public float Limit;
    public float UpBias;
}
