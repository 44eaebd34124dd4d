using System.Runtime.InteropServices;

namespace Moe.Plugins.Bf16;

/// <summary><c>MmaParameters</c> of <c>prefill_mma.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MmaParameters
{
    public nint Weight;
    public nint X;
    public nint Bias;
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
