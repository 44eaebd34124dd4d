using Moe.Plugins.Cuda;

namespace Moe.Plugins.Tests;

/// <summary>The device that faults are made on, by a copy of the CUDA binding that no backend has: as another library of the program would.</summary>
internal static class Gpu
{
    private const string IllegalWrite = """
        extern "C" __global__ void illegal_write(int* nowhere) { *nowhere = 1; }
        """;

    /// <summary>The device's primary context; skips the test where there is no device, or no compiler.</summary>
    public static CudaContext Require()
    {
        Assert.SkipUnless(CudaDriver.TryLoad(out string? reason), reason ?? "");
        Assert.SkipUnless(Nvrtc.TryLoad(null, out string? missing), missing ?? "");
        return CudaContext.RetainPrimary(CudaDevice.Get(0));
    }

    /// <summary>Loses the context, by a kernel that writes where nothing is.</summary>
    public static void Lose(CudaContext context)
    {
        KernelImage image = new KernelCompiler().Compile(KernelSource.FromText("illegal_write.cu", IllegalWrite), context.Device.Architecture);
        using CudaContextScope scope = context.MakeCurrent();
        using CudaModule module = context.LoadModule(image.Cubin.Span);
        nint nowhere = 0x10;
        module.GetFunction("illegal_write").Launch(new CudaLaunchConfig(1, 1), 0, in nowhere);
        Assert.True(Assert.Throws<CudaException>(context.Synchronize).IsContextLost);
    }

    /// <summary>Takes the device's memory but for some bytes, until it is disposed.</summary>
    public static FilledMemory Fill(CudaContext context, long left) => new(context, left);

    internal sealed class FilledMemory : IDisposable
    {
        private readonly List<CudaDeviceMemory> _pieces = [];

        public FilledMemory(CudaContext context, long left)
        {
            foreach (long size in (long[])[1L << 30, 64 << 20, 8 << 20])
            {
                while (context.GetFreeMemory() > left + size)
                {
                    _pieces.Add(context.Allocate(size));
                }
            }
        }

        public void Dispose() => _pieces.ForEach(static piece => piece.Dispose());
    }
}
