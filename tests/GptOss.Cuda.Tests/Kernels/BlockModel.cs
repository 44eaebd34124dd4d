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
            extern "C" void run(const {{parameters}}* p, int x, int y, int z, int threads)
            {
                gridDim = {x, y, z};
                for (int i = 0; i < x * y * z; i++)
                {
                    run_block(threads, [=] {
                        blockIdx = {i % x, i / x % y, i / x / y};
                        {{entry}}(*p);
                    });
                }
            }
            """);
        Assert.Equal(Marshal.SizeOf<TParameters>(), ((delegate* unmanaged<int>)_library.Export("size"))());
    }

    public void Run(TParameters parameters, int threads, int x, int y = 1, int z = 1) =>
        ((delegate* unmanaged<TParameters*, int, int, int, int, void>)_library.Export("run"))(&parameters, x, y, z, threads);

    public void Dispose() => _library.Dispose();
}
