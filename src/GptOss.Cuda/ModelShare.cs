namespace Moe.Plugins.GptOss.Cuda;

/// <summary>What a rank has of all but the experts: as many key-value heads as each other one, with their query heads, and a range of the vocabulary.</summary>
internal sealed class ModelShare
{
    /// <summary>Ranges of the vocabulary are whole words of the bits that say which tokens are banned.</summary>
    private const int VocabularyUnit = 32;

    private readonly GptOssConfig _whole;

    public ModelShare(GptOssConfig whole, int rank, int count)
    {
        _whole = whole;
        (Rank, Count) = (rank, count);
        MostTokens = Each(whole, count);
        FirstToken = rank * MostTokens;
        Config = whole with
        {
            HeadCount = whole.HeadCount / count,
            KeyValueHeadCount = whole.KeyValueHeadCount / count,
            VocabularySize = Math.Min(MostTokens, whole.VocabularySize - FirstToken),
        };
    }

    public int Rank { get; }

    /// <summary>Ranks.</summary>
    public int Count { get; }

    /// <summary>The model's sizes with the rank's heads and vocabulary.</summary>
    public GptOssConfig Config { get; }

    /// <summary>The first token of the rank's range.</summary>
    public int FirstToken { get; }

    /// <summary>Tokens of all ranks' ranges.</summary>
    public int AllTokens => _whole.VocabularySize;

    /// <summary>Tokens of every rank's range but the last one's, which may be shorter.</summary>
    public int MostTokens { get; }

    /// <summary>Why a model cannot be shared by so many ranks; null where it can.</summary>
    public static string? Refuse(GptOssConfig config, int count) =>
        config.KeyValueHeadCount % count != 0
            ? $"{config.KeyValueHeadCount} key-value heads cannot be shared out evenly among {count} GPUs"
            : (count - 1) * Each(config, count) >= config.VocabularySize
            ? $"A vocabulary of {config.VocabularySize} leaves nothing to the last of {count} GPUs"
            : null;

    /// <summary>The rank's rows of the embedding or of the head.</summary>
    public MoeStoredTensor OfVocabulary(MoeStoredTensor tensor) => tensor.Slice(0, 1, FirstToken, Config.VocabularySize, 0, tensor.Columns);

    /// <summary>The rank's heads of a layer: rows of query, key and value, columns of the output, whose bias the first rank has.</summary>
    public LayerTensors Of(LayerTensors layer)
    {
        int queries = Config.HeadCount * Config.HeadSize, keys = Config.KeyValueHeadCount * Config.HeadSize;
        int[] rows = [queries, keys, keys];
        return layer with
        {
            QueryKeyValue = [.. layer.QueryKeyValue.Select((linear, i) => linear.Rows(Rank * rows[i], rows[i]))],
            Sinks = layer.Sinks.Slice(0, 1, 0, 1, Rank * Config.HeadCount, Config.HeadCount),
            Output = new LinearTensors
            {
                Weight = layer.Output.Weight.Slice(0, 1, 0, _whole.HiddenSize, Rank * queries, queries),
                Bias = Rank == 0 ? layer.Output.Bias : null,
            },
        };
    }

    private static int Each(GptOssConfig config, int count) =>
        (config.VocabularySize + (count * VocabularyUnit) - 1) / (count * VocabularyUnit) * VocabularyUnit;
}
