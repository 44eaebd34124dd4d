using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>Formats as compressed-tensors states them: for the whole model, or for groups of modules (<c>config_groups</c>).</summary>
internal static class CompressedTensorsFormats
{
    /// <summary>A group's target that is a kind of module and not the name of one.</summary>
    private const string AllLinear = "Linear";

    /// <summary>The format that is stated for a module; null where none is, or where only the tensors tell it.</summary>
    public static MoeWeightFormat? Of(JsonElement values, string module)
    {
        string? whole = Text(values, "format");
        if (!values.TryGetProperty("config_groups", out JsonElement groups) || groups.ValueKind != JsonValueKind.Object)
        {
            return Known(whole);
        }

        // A group that names the module comes before one that means all.
        JsonElement[] all = [.. groups.EnumerateObject().Select(group => group.Value).Where(group => group.ValueKind == JsonValueKind.Object)];
        JsonElement? chosen = First(all, target => target != AllLinear && ModuleList.Matches(target, module)) ?? First(all, target => target == AllLinear);
        return chosen is JsonElement group ? Known(Text(group, "format") ?? whole) : null;
    }

    private static JsonElement? First(JsonElement[] groups, Func<string, bool> isMeant)
    {
        foreach (JsonElement group in groups)
        {
            bool isFound = group.TryGetProperty("targets", out JsonElement targets) && targets.ValueKind == JsonValueKind.Array
                && targets.EnumerateArray().Any(target => target.ValueKind == JsonValueKind.String && isMeant(target.GetString()!));
            if (isFound)
            {
                return group;
            }
        }

        return null;
    }

    private static MoeWeightFormat? Known(string? format) => format switch
    {
        "mxfp4-pack-quantized" => MoeWeightFormat.Mxfp4,
        "nvfp4-pack-quantized" => MoeWeightFormat.Nvfp4,
        "float-quantized" or "mxfp8-quantized" => MoeWeightFormat.Fp8Block,
        _ => null,
    };

    private static string? Text(JsonElement values, string name) =>
        values.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
