namespace Moe.Plugins.Cuda;

/// <summary>The least that a fetch brings into L2 (<c>CUtensorMapL2promotion</c>).</summary>
public enum CudaTensorMapL2Promotion
{
    /// <summary>What was asked for.</summary>
    None = 0,

    /// <summary>64 bytes.</summary>
    Bytes64 = 1,

    /// <summary>128 bytes.</summary>
    Bytes128 = 2,

    /// <summary>256 bytes.</summary>
    Bytes256 = 3,
}
