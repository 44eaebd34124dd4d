using Moe.Plugins.Cuda;
using Moe.Plugins.GptOss.Cuda;

namespace Moe.Plugins.GptOss;

/// <summary>Puts GPT-OSS on a GPU.</summary>
public static class GptOssCudaExtensions
{
    /// <summary>
    /// Computes attention, norms, embedding and head on a GPU, in BF16 with float32 sums. Expert layers go there too where the host chooses a CUDA backend for
    /// them; one that runs elsewhere is fed through the host's memory. Sets the options' types to BF16 and the chunk to 2048 tokens.
    /// </summary>
    /// <param name="options">The options of a model that is loaded next.</param>
    /// <param name="ordinal">The CUDA device.</param>
    /// <param name="compiler">Where compiled kernels are kept; null for the user's cache.</param>
    /// <returns>The options.</returns>
    public static GptOssOptions UseCuda(this GptOssOptions options, int ordinal = 0, KernelCompilerOptions? compiler = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfNegative(ordinal);
        options.Platform = new CudaPlatform(ordinal, compiler);
        options.ActivationType = MoeElementType.BFloat16;
        options.CacheType = MoeElementType.BFloat16;
        options.ChunkTokens = 2048;
        return options;
    }
}
