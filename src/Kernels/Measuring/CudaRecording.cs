using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Work captured into a graph, and two events around it.</summary>
internal sealed class CudaRecording : IMoeRecording
{
    private readonly CudaStream _stream;
    private readonly CudaExecutableGraph _graph;
    private readonly CudaEvent _start;
    private readonly CudaEvent _end;

    public CudaRecording(CudaContext context, Action<nint> enqueue)
    {
        _stream = context.CreateStream();
        using CudaGraph graph = _stream.Capture(() => enqueue(_stream));
        KernelCount = graph.KernelNodeCount;
        _graph = graph.Instantiate();
        _start = context.CreateEvent();
        _end = context.CreateEvent();
    }

    public int KernelCount { get; }

    public double Replay()
    {
        _start.Record(_stream);
        _graph.Launch(_stream);
        _end.Record(_stream);
        _end.Synchronize();
        return _end.MillisecondsSince(_start) * 1000.0;
    }

    public void Dispose()
    {
        _graph.Dispose();
        _start.Dispose();
        _end.Dispose();
        _stream.Dispose();
    }
}
