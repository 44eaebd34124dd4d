namespace Moe.Plugins.Kernels;

/// <summary>The families of MXFP4 products.</summary>
public enum Mxfp4Kind
{
    /// <summary>Few tokens an expert: both products in one launch that streams the weights (<c>mxfp4_decode.cu</c>; 9.0 and newer).</summary>
    Decode,

    /// <summary>Many tokens an expert (<c>mxfp4_prefill.cu</c>; 9.0 alone).</summary>
    Grouped,

    /// <summary>Any number, on any device from 8.0 on (<c>mxfp4_mma.cu</c>).</summary>
    Mma,
}
