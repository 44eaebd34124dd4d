namespace Moe.Plugins.Cuda;

/// <summary>A graph that can be launched, over and over; two launches of one never overlap.</summary>
public sealed class CudaExecutableGraph : CudaObject
{
    internal CudaExecutableGraph(CudaContext context, nint executable)
        : base(context, executable, ownsHandle: true)
    {
    }

    /// <summary>Enqueues the whole graph, with the addresses that it was captured with and what they hold by then.</summary>
    /// <param name="stream">The raw <c>CUstream</c>.</param>
    public void Launch(nint stream)
    {
        using CudaContextScope scope = Context.MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuGraphLaunch(Handle, stream));
    }

    private protected override int Release(nint rawHandle) => DriverApi.cuGraphExecDestroy(rawHandle);
}
