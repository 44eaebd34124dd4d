namespace Moe.Plugins.Cuda;

/// <summary>Where a <see cref="KernelImage"/> came from.</summary>
public enum KernelImageOrigin
{
    /// <summary>It was compiled just now.</summary>
    Compiled,

    /// <summary>It was in the cache.</summary>
    Cache,

    /// <summary>It was in the folder of prebuilt kernels.</summary>
    Prebuilt,
}
