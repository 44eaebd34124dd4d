namespace Moe.Plugins.Cuda;

/// <summary>How a kernel is launched.</summary>
/// <param name="Grid">The grid, in blocks.</param>
/// <param name="Block">The block, in threads.</param>
/// <param name="DynamicSharedBytes">The dynamic shared memory of each block; above 48 KiB the function must opt in first.</param>
public readonly record struct CudaLaunchConfig(CudaDim3 Grid, CudaDim3 Block, int DynamicSharedBytes = 0)
{
    /// <summary>The cluster, in blocks, which must divide the grid (compute capability 9.0 and newer); all zeros: none.</summary>
    public CudaDim3 Cluster { get; init; }

    /// <summary>
    /// Programmatic dependent launch: the kernel may start while the one before it on the stream still runs, and must wait
    /// with <c>griddepcontrol.wait</c> before it touches what that one writes (compute capability 9.0 and newer).
    /// </summary>
    public bool ProgrammaticStreamSerialization { get; init; }
}
