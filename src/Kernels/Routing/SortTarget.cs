using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary>Where the sort writes: <c>SortTarget</c> of <c>sort.cuh</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SortTarget
{
    /// <summary>[experts + 1] int32.</summary>
    public nint ExpertOffsets;

    /// <summary>[pairs] int32.</summary>
    public nint SortedPairs;

    /// <summary>[experts + pairs] of four int32.</summary>
    public nint RowBlocks;

    /// <summary>[1] int32.</summary>
    public nint RowBlockCount;

    /// <summary>The most rows of a row block; 0 to make none.</summary>
    public int BlockRows;
}
