using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss;

/// <summary>Compiles the kernels of GPT-OSS ahead of their first use, as <c>moe kernels</c> does.</summary>
/// <param name="compiler">Where compiled kernels are kept; null for the user's cache.</param>
public sealed class GptOssKernelCatalog(KernelCompilerOptions? compiler = null) : IMoeKernelCatalog
{
    /// <inheritdoc/>
    public IReadOnlyList<string> LocalArchitectures => KernelCatalog.LocalArchitectures;

    /// <inheritdoc/>
    public IReadOnlyList<MoeKernelReport> Compile(string architecture, IProgress<double>? progress = null, CancellationToken cancellationToken = default) =>
        KernelCatalog.Compile(
            Cuda.ModelKernels.Units,
            architecture,
            new KernelCompiler(compiler),
            typeof(GptOssKernelCatalog).Assembly,
            progress,
            cancellationToken);
}
