using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>A kernel that takes a warp for each row, in any number of blocks of 256 threads.</summary>
internal sealed class RowKernel(KernelLibrary library, RoutingKernels routing, KernelUnit unit, string entry)
{
    private const int Threads = 256;
    private const int RowsPerBlock = Threads / 32;
    private const int BlocksPerMultiprocessor = 8;

    private readonly CudaFunction _function = library.Get(unit, entry, besideProducts: true);
    private readonly int _mostBlocks = BlocksPerMultiprocessor * library.Context.Device.MultiprocessorCount;

    public void Launch<T>(int rows, nint stream, in T parameters)
        where T : unmanaged
    {
        int blocks = (rows + RowsPerBlock - 1) / RowsPerBlock;
        _function.Launch(routing.Launch(Math.Min(blocks, _mostBlocks), Threads), stream, in parameters);
    }
}
