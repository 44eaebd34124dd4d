namespace Moe.Plugins.Cuda;

/// <summary>Sizes of a grid (in blocks), a block (in threads) or a cluster (in blocks).</summary>
/// <param name="X">Along x.</param>
/// <param name="Y">Along y.</param>
/// <param name="Z">Along z.</param>
public readonly record struct CudaDim3(int X, int Y = 1, int Z = 1)
{
    /// <summary>A size along x alone.</summary>
    /// <param name="x">The size.</param>
    public static implicit operator CudaDim3(int x) => new(x);

    /// <summary>A size along x alone.</summary>
    /// <param name="x">The size.</param>
    public static CudaDim3 FromInt32(int x) => new(x);
}
