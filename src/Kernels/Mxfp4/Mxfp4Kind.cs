namespace Moe.Plugins.Kernels;

/// <summary>The families of MXFP4 products.</summary>
public enum Mxfp4Kind
{
    /// <summary>The matrix instructions of a warpgroup (<c>mxfp4_prefill.cu</c>; 9.0 alone).</summary>
    Grouped,

    /// <summary>Those of a warp, on any device from 8.0 on (<c>mxfp4_mma.cu</c>).</summary>
    Mma,
}
