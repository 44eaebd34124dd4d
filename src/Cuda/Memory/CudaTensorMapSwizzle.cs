namespace Moe.Plugins.Cuda;

/// <summary>How a box's rows are permuted in shared memory (<c>CUtensorMapSwizzle</c>).</summary>
public enum CudaTensorMapSwizzle
{
    /// <summary>Rows lie as they are.</summary>
    None = 0,

    /// <summary>16-byte pieces of 32-byte rows.</summary>
    Swizzle32B = 1,

    /// <summary>16-byte pieces of 64-byte rows.</summary>
    Swizzle64B = 2,

    /// <summary>16-byte pieces of 128-byte rows.</summary>
    Swizzle128B = 3,
}
