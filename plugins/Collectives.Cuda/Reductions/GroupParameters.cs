using System.Runtime.InteropServices;

namespace Moe.Plugins.Collectives;

/// <summary>As in <c>group.cuh</c>, where the members are explained.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct GroupParameters
{
    public nint Partial;
    public nint Residual;
    public nint Weight;
    public nint ResidualOut;
    public nint Output;
    public nint State;
    public nint Host;
    public ulong Patience;
    public long ResidualStride;
    public long ResidualOutStride;
    public long OutputStride;
    public long SetBytes;
    public long FlagsOffset;
    public long PartialOffset;
    public long SumsOffset;
    public long SumsBytes;
    public int Rank;
    public int Ranks;
    public int Rows;
    public int Spread;
    public int RowBytes;
    public int Ahead;
    public float Epsilon;
    public int WeightIsFloat;
    public int MayOverlap;
    public float InverseWidth;
    public fixed long Memory[RowShape.MostRanks];
    public ExpertParameters Experts;

    /// <summary>Sets what rows have in common.</summary>
    public void Take(in MoeAddNorm addNorm, in MoeTensorView output)
    {
        Epsilon = addNorm.Epsilon;
        Weight = addNorm.NormWeight.Address;
        WeightIsFloat = addNorm.NormWeight.ElementType == MoeElementType.Float32 ? 1 : 0;
        ResidualStride = addNorm.Residual.RowStride;
        ResidualOutStride = addNorm.ResidualOutput.RowStride;
        OutputStride = output.RowStride;
    }
}
