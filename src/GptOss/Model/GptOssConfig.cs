namespace Moe.Plugins.GptOss;

/// <summary>A model's sizes and constants, as its <c>config.json</c> states them.</summary>
public sealed record GptOssConfig
{
    private readonly int? _storedLayerCount;

    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width between an expert's two products.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Number of experts of each layer.</summary>
    public required int ExpertCount { get; init; }

    /// <summary>Experts that each token goes to.</summary>
    public required int TopK { get; init; }

    /// <summary>Number of query heads.</summary>
    public required int HeadCount { get; init; }

    /// <summary>Number of key-value heads; each serves as many adjacent query heads.</summary>
    public required int KeyValueHeadCount { get; init; }

    /// <summary>Width of a head; heads × width need not be the hidden size.</summary>
    public required int HeadSize { get; init; }

    /// <summary>Rows of the embedding and of the head.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Keys that a token of a sliding layer sees, itself among them.</summary>
    public required int SlidingWindow { get; init; }

    /// <summary>For each layer whether it sees <see cref="SlidingWindow"/> keys or all.</summary>
    public required IReadOnlyList<bool> IsSliding { get; init; }

    /// <summary>The rotation of queries and keys by their positions.</summary>
    public required YarnScaling Rotary { get; init; }

    /// <summary>What is added under the root of each norm.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>The clamp of the experts' activation.</summary>
    public float SwiGluLimit { get; init; } = 7.0f;

    /// <summary>The most positions that the model was made for.</summary>
    public int MaxPositions { get; init; } = 131072;

    /// <summary>Number of layers.</summary>
    public int LayerCount => IsSliding.Count;

    /// <summary>
    /// Layers that the files have weights of, 1 to <see cref="LayerCount"/>; the further ones load those of the first again, in turns. Only models to measure
    /// with have fewer than all.
    /// </summary>
    public int StoredLayerCount
    {
        get => _storedLayerCount ?? LayerCount;
        init => _storedLayerCount = value;
    }

    /// <summary>Query heads that share a key-value head.</summary>
    public int GroupSize => HeadCount / KeyValueHeadCount;

    /// <summary>gpt-oss-20b, as published.</summary>
    public static GptOssConfig GptOss20B { get; } = new()
    {
        HiddenSize = 2880,
        IntermediateSize = 2880,
        ExpertCount = 32,
        TopK = 4,
        HeadCount = 64,
        KeyValueHeadCount = 8,
        HeadSize = 64,
        VocabularySize = 201088,
        SlidingWindow = 128,
        IsSliding = Alternating(24),
        Rotary = new YarnScaling(),
    };

    /// <summary>gpt-oss-120b, as published.</summary>
    public static GptOssConfig GptOss120B { get; } = GptOss20B with { ExpertCount = 128, IsSliding = Alternating(36) };

    /// <summary>Reads a model's <c>config.json</c>: the published one, one that transformers wrote, or that of the folder <c>original</c>.</summary>
    /// <exception cref="MoeException">The file cannot be read, or a value is missing or none of such a model; the message names it.</exception>
    public static GptOssConfig Read(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        return GptOssConfigReader.Read(path);
    }

    /// <summary>The published order: even layers slide, odd ones see everything.</summary>
    internal static bool[] Alternating(int layers) => [.. Enumerable.Range(0, layers).Select(layer => layer % 2 == 0)];
}
