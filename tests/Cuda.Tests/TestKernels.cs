using Moe.Plugins.Cuda;

namespace Cuda.Tests;

internal static class TestKernels
{
    internal static KernelSource Read(string file) => KernelSource.FromResources(file, typeof(TestKernels).Assembly);

    internal static KernelImage Compile(string file, CudaArchitecture architecture, KernelCompileOptions? options = null) =>
        new KernelCompiler(new KernelCompilerOptions { UseCache = false }).Compile(Read(file), architecture, options);

    internal static CudaModule Load(CudaContext context, string file, KernelCompileOptions? options = null) =>
        context.LoadModule(Compile(file, context.Device.Architecture, options).Cubin.Span);
}
