namespace Moe.Plugins.Cuda;

/// <summary>A compute capability, and the name under which code is compiled for exactly it.</summary>
/// <param name="Major">The major number: 9 of 9.0.</param>
/// <param name="Minor">The minor number: 0 of 9.0.</param>
public readonly record struct CudaArchitecture(int Major, int Minor)
{
    /// <summary>
    /// The compiler's target, such as <c>sm_80</c>. Hopper and the Blackwells get the architecture-specific target
    /// (<c>sm_90a</c>, <c>sm_100a</c>, <c>sm_103a</c>, <c>sm_120a</c>), without which wgmma and tcgen05 do not exist.
    /// </summary>
    public string Target => $"sm_{Number}{(Number is 90 or 100 or 103 or 120 ? "a" : "")}";

    /// <summary>The capability as one number, as compilers count: 90 of 9.0, 103 of 10.3.</summary>
    public int Number => (Major * 10) + Minor;

    /// <summary>Whether it has warpgroup matrix instructions (wgmma): 9.0, and no other.</summary>
    public bool HasWgmma => Number == 90;

    /// <summary>Whether it has thread block clusters and programmatic dependent launch: from 9.0 on.</summary>
    public bool HasClusters => Major >= 9;

    /// <summary>The compiler's target.</summary>
    public override string ToString() => Target;
}
