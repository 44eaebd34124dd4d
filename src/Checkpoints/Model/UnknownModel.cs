namespace Moe.Plugins.Checkpoints;

/// <summary>Says of experts that nobody can read what they are, and what would be read.</summary>
internal static class UnknownModel
{
    private const int TypesShown = 4;

    /// <summary>One sentence.</summary>
    /// <param name="path">The checkpoint.</param>
    /// <param name="types">What it says it is.</param>
    /// <param name="family">Its family, where that is known and its tensors are not where they should be; else null.</param>
    /// <param name="experts">Names of tensors that look like experts'.</param>
    public static string Describe(string path, IReadOnlyList<string> types, MoeFamily? family, IReadOnlyList<string> experts)
    {
        string found = $"{experts.Count} tensors that look like experts' were found, '{PlainText.Of(experts[0])}' is the first";
        if (family is not null && types.Count > 0)
        {
            string block = $"{family.Layers[0]}.N.{family.Blocks[0]}.{family.Containers.Concat(family.BareExperts).First()}";
            return $"'{PlainText.Of(path)}' is a model of {family.Name}, whose layers are named …{block}…, and it has none: {found}.";
        }

        string type = types.Count == 0
            ? "states no model_type (there is no config.json, or it has none)"
            : $"is a model of the type {string.Join(" and ", types.Take(TypesShown).Select(type => $"'{PlainText.Of(type, 60)}'"))}, which is not known";
        return $"'{PlainText.Of(path)}' {type}: {found}; read are {string.Join(", ", MoeFamilies.All.Select(known => known.Name))}, and without a config GPT-OSS.";
    }
}
