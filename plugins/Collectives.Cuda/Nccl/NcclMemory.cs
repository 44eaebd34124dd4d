using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Collectives;

/// <summary>A rank's device memory of a group whose numbers NCCL carries: its part, the sums, and rows that are gathered.</summary>
internal sealed class NcclMemory : DeviceArena
{
    /// <exception cref="MoeException">There is not that much memory left.</exception>
    public NcclMemory(CudaContext context, MoeGroupRequest request)
        : base(context)
    {
        long bytes = (long)request.MaxTokens * request.Width * request.ElementType.ByteSize();
        Partial = Allocate(bytes);
        Sums = Allocate((long)request.MaxTokens * request.Width * sizeof(float));
        Gathered = Allocate(checked(bytes * request.Devices.Count));
    }

    public nint Partial { get; }

    /// <summary>In float32, whatever the parts are of.</summary>
    public nint Sums { get; }

    public nint Gathered { get; }
}
