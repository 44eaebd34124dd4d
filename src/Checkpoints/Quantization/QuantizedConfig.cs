using System.Text.Json;
using System.Text.Json.Nodes;

namespace Moe.Plugins.Checkpoints;

/// <summary>Announces what was quantised, as compressed-tensors does (MXFP4 of weights alone, groups of 32 along the inputs).</summary>
internal static class QuantizedConfig
{
    private const string Key = "quantization_config";
    private const string Mxfp4 = "mxfp4-pack-quantized";

    /// <summary>How the files are laid out that people may read.</summary>
    public static JsonSerializerOptions Indented { get; } = new()
    {
        WriteIndented = true,
        TypeInfoResolver = System.Text.Json.Serialization.Metadata.JsonTypeInfoResolver.Combine(),
    };

    /// <summary>The config with what is new about it.</summary>
    /// <param name="config">The model's own.</param>
    /// <param name="ignored">Modules that were left as they are.</param>
    public static string Announce(JsonElement config, IEnumerable<string> ignored)
    {
        JsonObject values = JsonNode.Parse(config.GetRawText())!.AsObject();
        JsonNode? before = TakeOut(values);
        var groups = new JsonObject { ["group_0"] = Group("Linear", Mxfp4, Weights(4, "group", 32)) };
        bool isFp8 = before is JsonObject old && old["quant_method"]?.GetValueKind() == JsonValueKind.String && old["quant_method"]!.GetValue<string>() == "fp8";
        if (isFp8)
        {
            // Experts by name, and all others as they were.
            groups["group_0"] = Group(@"re:.*\.experts\.\d+\..*", Mxfp4, Weights(4, "group", 32));
            JsonObject weights = Weights(8, "block", null);
            weights["block_structure"] = before!["weight_block_size"]?.DeepClone() ?? new JsonArray(128, 128);
            groups["group_1"] = Group("Linear", "float-quantized", weights);
        }

        values[Key] = new JsonObject
        {
            ["quant_method"] = "compressed-tensors",
            ["format"] = isFp8 ? "mixed-precision" : Mxfp4,
            ["quantization_status"] = "compressed",
            ["config_groups"] = groups,
            ["ignore"] = isFp8 ? before!["modules_to_not_convert"]?.DeepClone() ?? new JsonArray() : new JsonArray([.. ignored.Select(name => (JsonNode)name)]),
        };
        return values.ToJsonString(Indented);
    }

    // There is one, at the top: another, nested for the language model, would be found first.
    private static JsonNode? TakeOut(JsonObject values)
    {
        JsonNode? found = values[Key];
        values.Remove(Key);
        foreach ((string _, JsonNode? nested) in values.ToArray())
        {
            if (nested is JsonObject inner && inner.ContainsKey(Key))
            {
                found ??= TakeOut(inner);
            }
        }

        return found;
    }

    private static JsonObject Group(string target, string format, JsonObject weights) => new()
    {
        ["targets"] = new JsonArray(target),
        ["format"] = format,
        ["input_activations"] = null,
        ["output_activations"] = null,
        ["weights"] = weights,
    };

    private static JsonObject Weights(int bits, string strategy, int? groupSize) => new()
    {
        ["num_bits"] = bits,
        ["type"] = "float",
        ["strategy"] = strategy,
        ["group_size"] = groupSize,
        ["symmetric"] = true,
        ["dynamic"] = false,
    };
}
