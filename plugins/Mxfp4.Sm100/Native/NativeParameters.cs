using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Sm100;

/// <summary><c>NativeParameters</c> of <c>native.cu</c>, which says what each field is. Its size is a multiple of its alignment, 64.</summary>
[StructLayout(LayoutKind.Sequential, Size = 384)]
internal struct NativeParameters
{
    public CudaTensorMap Weight;
    public CudaTensorMap X;
    public nint WeightScales;
    public nint XScales;
    public nint Bias;
    public nint Codes;
    public nint Scales;
    public nint Out;
    public nint ExpertOffsets;
    public nint SortedPairs;
    public long OutStride;
    public int Rows;
    public int Depth;
    public int PaddedRows;
    public int PaddedDepth;
    public int TopK;
    public int Experts;
    public float Alpha;
    public float Limit;
    public float UpBias;
}
