using Moe.Plugins.Cuda;

namespace Moe.Plugins.Collectives;

/// <summary>Pinned words through which host and kernels tell each other that a group has ended: a line for each rank.</summary>
internal sealed unsafe class HostWords : IDisposable
{
    private const int LineBytes = 128;

    private readonly CudaHostMemory _memory;
    private readonly int _ranks;

    public HostWords(CudaContext context, int ranks)
    {
        _ranks = ranks;
        _memory = context.AllocateHost((long)LineBytes * ranks);
        _memory.AsSpan<byte>().Clear();
    }

    /// <summary>A rank's words, as in <c>group.cuh</c>.</summary>
    public nint Address(int rank) => _memory.Handle + (LineBytes * rank);

    /// <summary>Ends what waits in kernels, on all ranks.</summary>
    public void Abort()
    {
        for (int rank = 0; rank < _ranks; rank++)
        {
            Volatile.Write(ref *(uint*)Address(rank), 1);
        }
    }

    /// <summary>The first rank whose kernel waited too long, and for which other one.</summary>
    public (int Rank, int Peer)? FindLate()
    {
        for (int rank = 0; rank < _ranks; rank++)
        {
            uint failure = Volatile.Read(ref *((uint*)Address(rank) + 1));
            if (failure != 0)
            {
                return (rank, (int)failure - 1);
            }
        }

        return null;
    }

    public void Dispose() => _memory.Dispose();
}
