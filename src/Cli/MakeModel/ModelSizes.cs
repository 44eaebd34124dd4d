using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>The sizes that models are made of, by name.</summary>
internal static class ModelSizes
{
    /// <summary>Small enough for a repository; its vocabulary is that of <see cref="SampleTokenizer"/>.</summary>
    public static GptOssConfig Sample { get; } = new()
    {
        HiddenSize = 288,
        IntermediateSize = 64,
        ExpertCount = 4,
        TopK = 2,
        HeadCount = 4,
        KeyValueHeadCount = 1,
        HeadSize = 32,
        VocabularySize = SampleTokenizer.VocabularySize,
        SlidingWindow = 16,
        IsSliding = [true, false],
        Rotary = new YarnScaling { OriginalContext = 128 },
        MaxPositions = 4096,
    };

    /// <summary>Every part of the model, as small as it gets.</summary>
    private static GptOssConfig Tiny { get; } = new()
    {
        HiddenSize = 192,
        IntermediateSize = 96,
        ExpertCount = 8,
        TopK = 4,
        HeadCount = 8,
        KeyValueHeadCount = 2,
        HeadSize = 32,
        VocabularySize = 320,
        SlidingWindow = 8,
        IsSliding = [true, false, true, false],
        Rotary = new YarnScaling { OriginalContext = 64 },
        MaxPositions = 4096,
    };

    public static GptOssConfig? Find(string name) => name.ToUpperInvariant() switch
    {
        "GPT-OSS-20B" => GptOssConfig.GptOss20B,
        "GPT-OSS-120B" => GptOssConfig.GptOss120B,
        "TINY" => Tiny,
        "SAMPLE" => Sample,
        _ => null,
    };
}
