using System.Collections.Concurrent;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Keeps the streams that were handed out as raw handles until they are handed back.</summary>
internal static class StreamTable
{
    private static readonly ConcurrentDictionary<nint, CudaStream> Streams = new();

    public static nint Create(CudaContext context)
    {
        CudaStream stream = context.CreateStream();
        Streams[stream] = stream;
        return stream;
    }

    public static void Destroy(nint handle)
    {
        if (Streams.TryRemove(handle, out CudaStream? stream))
        {
            stream.Dispose();
        }
    }
}
