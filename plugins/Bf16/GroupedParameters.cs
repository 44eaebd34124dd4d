using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Bf16;

/// <summary><c>GroupedParameters</c> of <c>prefill.cu</c>, which says what each field is. Its size is a multiple of its alignment, 64.</summary>
[StructLayout(LayoutKind.Sequential, Size = 384)]
internal struct GroupedParameters
{
    public CudaTensorMap Weight;
    public CudaTensorMap Tokens;
    public nint Bias;
    public nint Out;
    public nint ExpertOffsets;
    public nint SortedPairs;
    public nint Counters;
    public long OutStride;
    public int Rows;
    public int Depth;
    public int Experts;
    public float Alpha;
    public float Limit;
    public float UpBias;
}
