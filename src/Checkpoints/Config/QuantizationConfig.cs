using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>
/// What a model says about its formats, under <c>quantization_config</c> and the like. The tensors decide; this is held against them, for where
/// the two differ one of them is wrong.
/// </summary>
internal sealed class QuantizationConfig
{
    private readonly string _origin;
    private readonly JsonElement _values;
    private readonly ModuleList _ignored;
    private readonly bool _hasFp4Experts;

    private QuantizationConfig(string origin, JsonElement values, bool hasFp4Experts)
    {
        _origin = origin;
        _values = values;
        _hasFp4Experts = hasFp4Experts;
        Method = Text(values, "quant_method") ?? (Text(values, "quant_algo") is null ? Text(values, "mode") ?? "" : "modelopt");
        _ignored = new ModuleList(
            Items("ignore").Concat(Items("exclude")).Concat(Items("modules_to_not_convert")).Concat(Items("ignored_layers")).Concat(Items("exclude_modules")));
        ScaleBlock = values.TryGetProperty("weight_block_size", out JsonElement block) && block.ValueKind == JsonValueKind.Array
            && block.GetArrayLength() == 2 && Size(block[0]) is int rows && Size(block[1]) is int columns
            ? (rows, columns) : null;
    }

    /// <summary>The tool, <c>compressed-tensors</c>; empty where nothing is said.</summary>
    public string Method { get; }

    /// <summary>Outputs and inputs that share a scale in FP8; null where it is not said.</summary>
    public (int Rows, int Columns)? ScaleBlock { get; }

    /// <summary>What the model says; null where it says nothing.</summary>
    /// <param name="config">The model's statements.</param>
    /// <param name="besidePath">ModelOpt's own file beside the config; null where there is none.</param>
    /// <exception cref="MoeException">That file cannot be read.</exception>
    public static QuantizationConfig? Read(ModelConfig config, string? besidePath)
    {
        bool hasFp4Experts = config.Find(-1, "expert_dtype").Any(value => value.Text == "fp4");
        foreach (string name in (string[])["quantization_config", "quantization"])
        {
            foreach ((string origin, JsonElement values) in config.Objects(name))
            {
                return new QuantizationConfig($"{name} of {origin}", values, hasFp4Experts);
            }
        }

        return besidePath is not null && JsonFile.Read(besidePath) is var beside
            && beside.TryGetProperty("quantization", out JsonElement own) && own.ValueKind == JsonValueKind.Object
            ? new QuantizationConfig($"'{PlainText.Of(besidePath)}'", own, hasFp4Experts)
            : null;
    }

    /// <summary>Holds the format of a matrix against what is said of it.</summary>
    /// <param name="module">Its name, without that of its tensors.</param>
    /// <param name="found">Its format by its tensors.</param>
    /// <param name="isRouted">
    /// Whether it is one of the experts'. Of other matrices lists miss some, and an unquantised tensor cannot be taken for anything else.
    /// </param>
    /// <returns>What is wrong; null where nothing is.</returns>
    public string? Fault(string module, MoeWeightFormat found, bool isRouted)
    {
        bool isPlain = found is MoeWeightFormat.BFloat16 or MoeWeightFormat.Float16 or MoeWeightFormat.Float32;
        if (_ignored.Matches(module))
        {
            return isPlain ? null : $"'{PlainText.Of(module)}' is {found} by its tensors, and {_origin} lists it among what is not quantised";
        }

        MoeWeightFormat[] stated = Stated(module, isRouted);
        return stated.Length == 0 || stated.Contains(found) || (isPlain && !isRouted)
            ? null
            : $"'{PlainText.Of(module)}' is {found} by its tensors, and {_origin} says that it is {string.Join(" or ", stated)}";
    }

    private MoeWeightFormat[] Stated(string module, bool isRouted)
    {
        MoeWeightFormat? one = Method switch
        {
            "mxfp4" => isRouted ? MoeWeightFormat.Mxfp4 : null,
            "compressed-tensors" => CompressedTensorsFormats.Of(_values, module),
            "quark" => QuarkFormat(module),
            "modelopt" => ModelOptFormat(ModuleAlgorithm(module)),
            _ => null,
        };
        if (one is MoeWeightFormat format)
        {
            return [format];
        }

        // DeepSeek-V4 says of its experts elsewhere that they are FP4, or nowhere; Ling under a key of its own.
        bool saysFp4 = _hasFp4Experts || Text(_values, "routed_experts_quant_method") == "mxfp4";
        return Method != "fp8" ? []
            : !isRouted ? [MoeWeightFormat.Fp8Block]
            : saysFp4 ? [MoeWeightFormat.Mxfp4]
            : [MoeWeightFormat.Fp8Block, MoeWeightFormat.Mxfp4];
    }

    private MoeWeightFormat? QuarkFormat(string module)
    {
        JsonElement chosen = default;
        if (_values.TryGetProperty("layer_quant_config", out JsonElement layers) && layers.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty layer in layers.EnumerateObject())
            {
                if (ModuleList.Matches(layer.Name, module))
                {
                    chosen = layer.Value;
                    break;
                }
            }
        }

        if (chosen.ValueKind != JsonValueKind.Object && !_values.TryGetProperty("global_quant_config", out chosen))
        {
            return null;
        }

        return chosen.ValueKind == JsonValueKind.Object && chosen.TryGetProperty("weight", out JsonElement weight) && weight.ValueKind == JsonValueKind.Object
            ? Text(weight, "dtype") switch
            {
                "fp4" when Text(weight, "scale_format") is "e8m0" => MoeWeightFormat.Mxfp4,
                "fp8_e4m3" => MoeWeightFormat.Fp8Block,
                _ => null,
            }
            : null;
    }

    private string? ModuleAlgorithm(string module) =>
        _values.TryGetProperty("quantized_layers", out JsonElement layers) && layers.ValueKind == JsonValueKind.Object
        && layers.TryGetProperty(module, out JsonElement layer)
            ? Text(layer, "quant_algo")
            : Text(_values, "quant_algo");

    private static MoeWeightFormat? ModelOptFormat(string? algorithm)
    {
        string name = algorithm?.ToUpperInvariant() ?? "";
        return name.Contains("MXFP4", StringComparison.Ordinal) ? MoeWeightFormat.Mxfp4
            : name.Contains("NVFP4", StringComparison.Ordinal) ? MoeWeightFormat.Nvfp4
            : name.StartsWith("FP8", StringComparison.Ordinal) ? MoeWeightFormat.Fp8Block
            : null;
    }

    private IEnumerable<string> Items(string name) =>
        _values.TryGetProperty(name, out JsonElement list) && list.ValueKind == JsonValueKind.Array
            ? list.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.String).Select(item => item.GetString()!)
            : [];

    private static int? Size(JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int size) && size > 0 ? size : null;

    private static string? Text(JsonElement values, string name) =>
        values.ValueKind == JsonValueKind.Object && values.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;
}
