namespace Moe.Plugins.GptOss;

/// <summary>How a model is loaded and run. Read once, when it is loaded.</summary>
public sealed class GptOssOptions
{
    /// <summary>More than any machine has processors. Where a process may not have as many, the runtime ends it.</summary>
    private const int MostThreads = 1024;

    /// <summary>The model's folder: <c>config.json</c> and safetensors files, as published, or its <c>original</c>, or as transformers saves it.</summary>
    public string Model { get; set; } = "";

    /// <summary>The most positions of one text, prompt and answer together. The cache grows as far, not at once.</summary>
    public int MaxContext { get; set; } = 8192;

    /// <summary>Float32, or BF16: what the expert layers take and give. On the processor all else is float32.</summary>
    public MoeElementType ActivationType { get; set; } = MoeElementType.Float32;

    /// <summary>Float32, or BF16 for half the memory: what keys and values are kept in.</summary>
    public MoeElementType CacheType { get; set; } = MoeElementType.Float32;

    /// <summary>Tokens that are computed at once: longer prompts are taken in pieces of this size.</summary>
    public int ChunkTokens { get; set; } = 512;

    /// <summary>Threads for all but the expert layers, at most 1024; 0 for one a processor.</summary>
    public int Threads { get; set; }

    /// <summary>The backend of the expert layers, a plugin's id or <c>auto</c>; null leaves it to the host's configuration.</summary>
    public string? Backend { get; set; }

    /// <summary>The device of the expert layers; null leaves it to the host's configuration.</summary>
    public MoeDevice? Device { get; set; }

    /// <summary>
    /// Ranks that share each expert layer, each with a range of its intermediate size: threads of the processor, or GPUs where a plugin makes groups of
    /// them. On the processor attention and all else is computed once; GPUs share it too. With 1, the host's configuration says how many there are
    /// (<see cref="MoeOptions.Parallel"/>).
    /// </summary>
    public int TensorParallel { get; set; } = 1;

    /// <summary>Whether loading refuses a model that does not fit into the machine's memory.</summary>
    public bool ChecksMemory { get; set; } = true;

    /// <summary>What all but the expert layers is computed on.</summary>
    internal IModelPlatform Platform { get; set; } = CpuPlatform.Instance;

    /// <exception cref="MoeException">A value is out of range.</exception>
    internal void Validate()
    {
        Require(!string.IsNullOrWhiteSpace(Model), $"{nameof(Model)} is empty; the model's folder is expected");
        Require(Backend is null || !string.IsNullOrWhiteSpace(Backend), $"{nameof(Backend)} is empty; a backend's id, auto or null is expected");
        Require(MaxContext >= 1, $"{nameof(MaxContext)} is {MaxContext}; at least 1 is expected");
        Require(ChunkTokens >= 1, $"{nameof(ChunkTokens)} is {ChunkTokens}; at least 1 is expected");
        Require(Threads is >= 0 and <= MostThreads, $"{nameof(Threads)} is {Threads}; 0 to {MostThreads} is expected");
        Require(TensorParallel >= 1, $"{nameof(TensorParallel)} is {TensorParallel}; at least 1 is expected");
        RequireFloats(ActivationType, nameof(ActivationType));
        RequireFloats(CacheType, nameof(CacheType));
    }

    private static void RequireFloats(MoeElementType type, string name) =>
        Require(type is MoeElementType.Float32 or MoeElementType.BFloat16, $"{name} is {type}; Float32 or BFloat16 is expected");

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new MoeException(MoeReason.Configuration, $"{message}.");
        }
    }
}
