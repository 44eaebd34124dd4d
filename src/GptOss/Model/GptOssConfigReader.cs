using System.Text.Json;

namespace Moe.Plugins.GptOss;

/// <summary>
/// Reads <c>config.json</c> in its three forms: as published (<c>rope_scaling</c>), as transformers 5 writes it (<c>rope_parameters</c>), and
/// that of the folder <c>original</c> (openai/gpt-oss, <c>gpt_oss/torch/model.py</c>, <c>ModelConfig</c>).
/// </summary>
internal sealed class GptOssConfigReader
{
    private const string Sliding = "sliding_attention";
    private const string Full = "full_attention";

    /// <summary>Far more layers than any model has, and few enough for a list of them.</summary>
    private const int MostLayers = 10_000;

    private readonly string _path;
    private readonly JsonElement _root;

    private GptOssConfigReader(string path, JsonElement root)
    {
        _path = path;
        _root = root;
    }

    public static GptOssConfig Read(string path)
    {
        // A file where a folder belongs would pass for a folder without a configuration.
        if (Path.GetDirectoryName(path) is { } folder && File.Exists(folder))
        {
            throw new MoeException(MoeReason.Checkpoint, $"'{PlainText.Of(folder)}' is a file; the model's folder is expected.");
        }

        return new GptOssConfigReader(path, JsonFile.Read(path)).Read();
    }

    private GptOssConfig Read()
    {
        if (_root.TryGetProperty("model_type", out JsonElement type) && type.ToString() != "gpt_oss")
        {
            throw Error($"model_type is '{PlainText.Of(type.ToString())}'; gpt_oss is expected");
        }

        var config = new GptOssConfig
        {
            HiddenSize = Size(_root, "hidden_size"),
            IntermediateSize = Size(_root, "intermediate_size"),
            ExpertCount = Size(_root, "num_local_experts", "num_experts"),
            TopK = Size(_root, "num_experts_per_tok", "experts_per_token"),
            HeadCount = Size(_root, "num_attention_heads"),
            KeyValueHeadCount = Size(_root, "num_key_value_heads"),
            HeadSize = Size(_root, "head_dim"),
            VocabularySize = Size(_root, "vocab_size"),
            SlidingWindow = Size(_root, "sliding_window"),
            IsSliding = ReadLayerTypes(ReadLayerCount()),
            Rotary = ReadRotary(),
            NormEpsilon = Positive(_root, "rms_norm_eps") ?? 1e-5,
            SwiGluLimit = (float)(Positive(_root, "swiglu_limit") ?? 7.0),
            MaxPositions = TrySize(_root, "max_position_embeddings") ?? 131072,
        };
        config = TrySize(_root, "stored_layers") is int stored ? config with { StoredLayerCount = stored } : config;
        Require(config.StoredLayerCount <= config.LayerCount, $"stored_layers is {config.StoredLayerCount}; at most {config.LayerCount}, the number of layers, is expected");
        Require(config.HeadCount % config.KeyValueHeadCount == 0, $"num_attention_heads {config.HeadCount} is no multiple of num_key_value_heads {config.KeyValueHeadCount}");
        Require(config.HeadSize % 2 == 0, $"head_dim is {config.HeadSize}; an even number is expected");
        Require(config.TopK <= config.ExpertCount, $"num_experts_per_tok is {config.TopK}; at most {config.ExpertCount}, the number of experts, is expected");
        return config;
    }

    private int ReadLayerCount()
    {
        int layers = Size(_root, "num_hidden_layers");
        Require(layers <= MostLayers, $"num_hidden_layers is {layers}; at most {MostLayers} are expected");
        return layers;
    }

    private bool[] ReadLayerTypes(int layers)
    {
        if (!_root.TryGetProperty("layer_types", out JsonElement types) || types.ValueKind == JsonValueKind.Null)
        {
            return GptOssConfig.Alternating(layers);
        }

        Require(types.ValueKind == JsonValueKind.Array && types.GetArrayLength() == layers, $"layer_types is no list of {layers}, the number of layers");
        return
        [
            .. types.EnumerateArray().Select(item => item.ToString() switch
            {
                Sliding => true,
                Full => false,
                string other => throw Error($"layer_types has '{PlainText.Of(other)}'; {Sliding} or {Full} is expected"),
            }),
        ];
    }

    private YarnScaling ReadRotary()
    {
        JsonElement scaling = _root;
        if (!_root.TryGetProperty("rope_parameters", out scaling) && !_root.TryGetProperty("rope_scaling", out scaling))
        {
            return new YarnScaling
            {
                Theta = Positive(_root, "rope_theta") ?? 150000,
                Factor = Positive(_root, "rope_scaling_factor") ?? 32,
                BetaFast = Positive(_root, "rope_ntk_beta") ?? 32,
                BetaSlow = Positive(_root, "rope_ntk_alpha") ?? 1,
                OriginalContext = TrySize(_root, "initial_context_length") ?? 4096,
            };
        }

        Require(scaling.ValueKind == JsonValueKind.Object, "rope_scaling is no object");
        string kind = scaling.TryGetProperty("rope_type", out JsonElement rope) ? rope.ToString() : "";
        Require(kind == "yarn", $"rope_type is '{PlainText.Of(kind)}'; yarn is expected");
        return new YarnScaling
        {
            Theta = Positive(scaling, "rope_theta") ?? Positive(_root, "rope_theta") ?? 150000,
            Factor = Positive(scaling, "factor") ?? throw Error("rope_scaling lacks factor"),
            BetaFast = Positive(scaling, "beta_fast") ?? 32,
            BetaSlow = Positive(scaling, "beta_slow") ?? 1,
            OriginalContext = TrySize(scaling, "original_max_position_embeddings") ?? TrySize(_root, "initial_context_length") ?? 4096,

            // Where the key is missing, transformers rounds.
            Truncate = !scaling.TryGetProperty("truncate", out JsonElement truncate) || truncate.ValueKind == JsonValueKind.True,
        };
    }

    private int Size(JsonElement parent, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            if (TrySize(parent, name) is int size)
            {
                return size;
            }
        }

        throw Error($"{names[0]} is missing");
    }

    private int? TrySize(JsonElement parent, string name)
    {
        if (!parent.TryGetProperty(name, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int size) && size is > 0 and < 1 << 28
            ? size
            : throw Error($"{name} is {PlainText.Of(value.GetRawText())}; a whole number from 1 on is expected");
    }

    private double? Positive(JsonElement parent, string name)
    {
        if (!parent.TryGetProperty(name, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number > 0 && double.IsFinite(number)
            ? number
            : throw Error($"{name} is {PlainText.Of(value.GetRawText())}; a positive number is expected");
    }

    private void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw Error(message);
        }
    }

    private MoeException Error(string what) => new(MoeReason.Checkpoint, $"'{PlainText.Of(_path)}' is no configuration of GPT-OSS: {what}.");
}
