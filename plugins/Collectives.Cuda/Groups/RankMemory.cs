using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Collectives;

/// <summary>A rank's device memory: what all ranks reach, and its own state.</summary>
internal sealed class RankMemory : DeviceArena
{
    private const int StateBytes = 16;
    private const byte Empty = 0xff;

    /// <summary>What a driver allocates at a time: other processes are shown whole pieces, which then hold nothing else.</summary>
    private const long PieceBytes = 2 << 20;

    /// <exception cref="MoeException">There is not that much memory left.</exception>
    public RankMemory(CudaContext context, GroupLayout layout)
        : base(context)
    {
        using CudaContextScope scope = context.MakeCurrent();
        Shared = Allocate((layout.ByteCount + PieceBytes - 1) / PieceBytes * PieceBytes);
        State = Allocate(StateBytes);
        CudaMemory.Fill(Shared, Empty, layout.FlagsOffset, 0);
        CudaMemory.Fill(checked((nint)(Shared + layout.FlagsOffset)), 0, layout.ByteCount - layout.FlagsOffset, 0);
        CudaMemory.Fill(State, 0, StateBytes, 0);
        context.UseStream(0).Synchronize();
    }

    /// <summary>Laid out as <see cref="GroupLayout"/> says.</summary>
    public nint Shared { get; }

    /// <summary>As <c>RankState</c> in <c>group.cuh</c>.</summary>
    public nint State { get; }
}
