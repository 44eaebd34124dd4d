using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>CombineParameters</c> of <c>combine.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct CombineParameters
{
    /// <summary>[splits, pairs, partial stride] float32 or BF16.</summary>
    public nint Partial;

    /// <summary>[tokens, top-k] int32.</summary>
    public nint Ids;

    /// <summary>[tokens, top-k] float32.</summary>
    public nint Weights;

    /// <summary>[experts, hidden] float32, or 0.</summary>
    public nint Bias;

    /// <summary>[tokens, out stride] BF16 or float32.</summary>
    public nint Out;

    /// <summary>Elements from one pair to the next.</summary>
    public long PartialStride;

    /// <summary>Elements from one split to the next.</summary>
    public long SplitStride;

    /// <summary>Elements from one output row to the next.</summary>
    public long OutStride;

    /// <summary>Rows of the output.</summary>
    public int Tokens;

    /// <summary>Columns, a multiple of 8.</summary>
    public int Hidden;

    /// <summary>Choices of a token.</summary>
    public int TopK;

    /// <summary>Splits of the inner dimension.</summary>
    public int Splits;

    /// <summary>Number of experts.</summary>
    public int Experts;

    /// <summary>1 where the partial results are BF16.</summary>
    public int PartialIsBf16;

    /// <summary>1 where the output is float32.</summary>
    public int OutIsFloat;
}
