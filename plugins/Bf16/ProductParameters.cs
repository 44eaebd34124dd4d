using System.Runtime.InteropServices;

namespace Moe.Plugins.Bf16;

/// <summary><c>ProductParameters</c> of <c>decode.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ProductParameters
{
    public nint X;
    public nint Weight;
    public nint Bias;
    public nint Out;
    public nint SortedPairs;
    public nint RowBlocks;
    public nint RowBlockCount;
    public long XStride;
    public long OutStride;
    public long SplitStride;
    public int Rows;
    public int Depth;
    public int TopK;
    public int Splits;
    public float Alpha;
    public float Limit;
    public float UpBias;
}
