using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>Compiles a source of the plugin for an architecture; skips the test where there is no compiler.</summary>
internal static class CompiledUnit
{
    public static KernelImage Compile(KernelUnit unit, int major, int minor)
    {
        bool isLoaded = Nvrtc.TryLoad(libraryPath: null, out string? reason);
        Assert.SkipUnless(isLoaded, $"needs NVRTC: {reason}");
        return unit.Compile(new KernelCompiler(), new CudaArchitecture(major, minor), typeof(CompiledUnit).Assembly);
    }
}
