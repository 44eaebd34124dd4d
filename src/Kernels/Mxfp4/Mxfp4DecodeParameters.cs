using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary><c>Mxfp4DecodeParameters</c> of <c>mxfp4_decode.cu</c>, which says what each field is. Its size is a multiple of its alignment, 64.</summary>
[StructLayout(LayoutKind.Sequential, Size = 448)]
internal struct Mxfp4DecodeParameters
{
    public CudaTensorMap GateUp;
    public CudaTensorMap Down;
    public nint GateUpFactor;
    public nint DownFactor;
    public nint Bias;
    public nint X;
    public nint Act;
    public nint Out;
    public nint SortedPairs;
    public nint RowBlocks;
    public nint RowBlockCount;
    public nint Counters;
    public long XStride;
    public long SplitStride;
    public int Hidden;
    public int Intermediate;
    public int TopK;
    public int Splits;
    public int GateUpPiece;
    public int DownPiece;
    public int Slots;
    public int SlotBytes;
    public int TokenBytes;
    public float Alpha;
    public float Limit;
    public float UpBias;
}
