namespace Moe.Plugins.Cuda;

/// <summary>Work recorded by <see cref="CudaStream.Capture"/>. Instantiate it to run it.</summary>
public sealed unsafe class CudaGraph : CudaObject
{
    private const int KernelNode = 0;

    internal CudaGraph(CudaContext context, nint graph)
        : base(context, graph, ownsHandle: true)
    {
        nuint count = 0;
        CudaException.ThrowIfFailed(DriverApi.cuGraphGetNodes(graph, null, ref count));
        nint[] nodes = new nint[(int)count];
        fixed (nint* pointer = nodes)
        {
            CudaException.ThrowIfFailed(count == 0 ? 0 : DriverApi.cuGraphGetNodes(graph, pointer, ref count));
        }

        NodeCount = nodes.Length;
        foreach (nint node in nodes)
        {
            CudaException.ThrowIfFailed(DriverApi.cuGraphNodeGetType(node, out int type));
            KernelNodeCount += type == KernelNode ? 1 : 0;
        }
    }

    /// <summary>The number of nodes: kernels, copies, fills and others.</summary>
    public int NodeCount { get; }

    /// <summary>The number of nodes that are kernels.</summary>
    public int KernelNodeCount { get; }

    /// <summary>Makes a form of the graph that can be launched; it stays good when this graph is disposed.</summary>
    public CudaExecutableGraph Instantiate()
    {
        using CudaContextScope scope = Context.MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuGraphInstantiateWithFlags(out nint executable, Handle, 0));
        return new CudaExecutableGraph(Context, executable);
    }

    private protected override int Release(nint rawHandle) => DriverApi.cuGraphDestroy(rawHandle);
}
