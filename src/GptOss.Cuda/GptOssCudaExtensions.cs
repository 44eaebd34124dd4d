using Moe.Plugins.Cuda;
using Moe.Plugins.GptOss.Cuda;

namespace Moe.Plugins.GptOss;

/// <summary>Puts GPT-OSS on a GPU.</summary>
public static class GptOssCudaExtensions
{
    /// <summary>
    /// Computes attention, norms, embedding and head on a GPU, in BF16 with float32 sums. Expert layers go there too where the host chooses a CUDA backend for
    /// them; one that runs elsewhere is fed through the host's memory. On several GPUs each has as many heads, a part of each expert and a range of the
    /// vocabulary, and a plugin that makes groups of GPUs adds up what they have. Sets the options' types to BF16 and the chunk to 2048 tokens.
    /// </summary>
    /// <param name="options">The options of a model that is loaded next.</param>
    /// <param name="devices">
    /// The GPU, or one for each rank that shares the model; null for the first. With one and <see cref="GptOssOptions.TensorParallel"/>, it and the next ones.
    /// </param>
    /// <param name="compiler">Where compiled kernels are kept; null for the user's cache.</param>
    /// <returns>The options.</returns>
    /// <exception cref="ArgumentException">There is no device, or one is no CUDA device.</exception>
    public static GptOssOptions UseCuda(this GptOssOptions options, IReadOnlyList<MoeDevice>? devices = null, KernelCompilerOptions? compiler = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        MoeDevice[] named = [.. devices ?? [MoeDevice.Cuda(0)]];
        if (named.Length == 0 || Array.Exists(named, device => device.Kind != MoeDeviceKind.Cuda))
        {
            throw new ArgumentException($"CUDA devices are expected, and there is {(named.Length == 0 ? "none" : string.Join(", ", named))}.", nameof(devices));
        }

        options.Platform = new CudaPlatform(named, compiler);
        options.ActivationType = MoeElementType.BFloat16;
        options.CacheType = MoeElementType.BFloat16;
        options.ChunkTokens = 2048;
        return options;
    }
}
