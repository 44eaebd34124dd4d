using System.Runtime.InteropServices;
using Moe.Plugins.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>One kernel on the model of a thread block, launched with the very parameters that the device gets.</summary>
internal sealed unsafe class BlockModel<TParameters> : IDisposable
    where TParameters : unmanaged
{
    private readonly HostLibrary _library;

    /// <param name="file">The source.</param>
    /// <param name="entry">The kernel, with its template's arguments.</param>
    /// <param name="parameters">What the source calls its parameters.</param>
    public BlockModel(string file, string entry, string parameters)
    {
        _library = HostLibrary.CompileBlock(file, $$"""
            #include "{{file}}"
            extern "C" int size() { return sizeof({{parameters}}); }
            extern "C" void run(const {{parameters}}* p, int x, int y, int z, int threads, int bytes, int first)
            {
                shared_bytes = bytes;
                gridDim = {x, y, z};
                for (int n = 0; n < x * y * z; n++)
                {
                    const int i = (first + n) % (x * y * z);
                    run_block(threads, [=] {
                        blockIdx = {i % x, i / x % y, i / x / y};
                        {{entry}}(*p);
                    });
                }
            }
            """);
        Assert.Equal(Marshal.SizeOf<TParameters>(), ((delegate* unmanaged<int>)_library.Export("size"))());
    }

    /// <param name="parameters">What the device would get.</param>
    /// <param name="threads">Of a block.</param>
    /// <param name="x">Blocks in the first dimension.</param>
    /// <param name="y">In the second.</param>
    /// <param name="z">In the third.</param>
    /// <param name="sharedBytes">Dynamic shared memory of a block.</param>
    /// <param name="first">The block that comes first.</param>
    public void Run(TParameters parameters, int threads, int x, int y = 1, int z = 1, int sharedBytes = BlockModel.AllSharedBytes, int first = 0) =>
        ((delegate* unmanaged<TParameters*, int, int, int, int, int, int, void>)_library.Export("run"))(&parameters, x, y, z, threads, sharedBytes, first);

    public void Dispose() => _library.Dispose();
}

internal static class BlockModel
{
    /// <summary>Shared memory of a block of Hopper's.</summary>
    public const int AllSharedBytes = 232448;
}
