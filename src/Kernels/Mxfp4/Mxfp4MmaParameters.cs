using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>Mxfp4MmaParameters</c> of <c>mxfp4_mma.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Mxfp4MmaParameters
{
    public nint Weight;
    public nint Factor;
    public nint Bias;
    public nint X;
    public nint Out;
    public nint SortedPairs;
    public nint RowBlocks;
    public nint RowBlockCount;
    public long XStride;
    public long OutStride;
    public int Rows;
    public int Depth;
    public int TopK;
    public float Alpha;
    public float Limit;
    public float UpBias;
}
