using System.Globalization;

namespace Moe.Plugins.Checkpoints;

/// <summary>Sorts tensors by the layer that they belong to: <c>[prefix.]layers.N.block.…</c>.</summary>
internal static class LayerFinder
{
    /// <summary>Layers that predict further tokens, for drafting: they look like the model's own and are none of them.</summary>
    private static readonly string[] Drafts = ["mtp", "mtp_layers", "draft", "eagle", "dspark"];

    /// <summary>A layer of experts.</summary>
    /// <param name="Name">What its tensors' names begin with.</param>
    /// <param name="Index">Its number.</param>
    /// <param name="Tensors">Those names.</param>
    public sealed record Found(string Name, int Index, List<string> Tensors)
    {
        public bool HasExperts { get; set; }
    }

    /// <summary>The layers that have experts.</summary>
    /// <param name="names">All tensors of the checkpoint.</param>
    /// <param name="family">How the family names them.</param>
    /// <param name="layerCount">How many layers the model has, for those behind are drafts; null where it does not say.</param>
    public static List<Found> Find(IEnumerable<string> names, MoeFamily family, int? layerCount)
    {
        var layers = new Dictionary<string, Found>(StringComparer.Ordinal);
        var byName = layers.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (string name in names)
        {
            if (!TrySplit(name, family, out int length, out int index) || index >= (layerCount ?? int.MaxValue))
            {
                continue;
            }

            ReadOnlySpan<char> layer = name.AsSpan(0, length);
            if (!byName.TryGetValue(layer, out Found? found))
            {
                found = new Found(layer.ToString(), index, []);
                layers.Add(found.Name, found);
            }

            found.Tensors.Add(name);
            found.HasExperts |= IsExpert(name.AsSpan(length + 1), family);
        }

        return
        [
            .. layers.Values
                .Where(layer => layer.HasExperts)
                .OrderBy(layer => layer.Index)
                .ThenBy(layer => layer.Name, StringComparer.Ordinal),
        ];
    }

    /// <summary>Whether a name looks as if it were of experts, in whatever model.</summary>
    public static bool LooksLikeExpert(string name) =>
        name.Contains("experts.", StringComparison.Ordinal) && !name.Contains("shared_experts.", StringComparison.Ordinal)
        || name.Contains("switch_mlp.", StringComparison.Ordinal)
        || name.Contains("mlp1_weight", StringComparison.Ordinal)
        || name.Contains("block_sparse_moe.", StringComparison.Ordinal);

    private static bool TrySplit(string name, MoeFamily family, out int length, out int index)
    {
        (length, index) = (0, 0);
        foreach (string word in family.Layers)
        {
            int start = WordAt(name, word);
            int digits = start + word.Length + 1;
            int end = start < 0 ? -1 : name.IndexOf('.', digits);
            if (end < 0 || !int.TryParse(name.AsSpan(digits, end - digits), NumberStyles.None, CultureInfo.InvariantCulture, out index))
            {
                continue;
            }

            foreach (string block in family.Blocks)
            {
                length = end + 1 + block.Length;
                if (name.Length > length && name[length] == '.' && name.AsSpan(end + 1, block.Length).SequenceEqual(block)
                    && !IsDraft(name.AsSpan(0, Math.Max(0, start - 1))))
                {
                    return true;
                }
            }
        }

        return false;
    }

    // As a whole part of the name: at its start, or behind a dot.
    private static int WordAt(string name, string word)
    {
        for (int at = name.IndexOf(word, StringComparison.Ordinal); at >= 0; at = name.IndexOf(word, at + 1, StringComparison.Ordinal))
        {
            int end = at + word.Length;
            if ((at == 0 || name[at - 1] == '.') && end < name.Length && name[end] == '.')
            {
                return at;
            }
        }

        return -1;
    }

    private static bool IsDraft(ReadOnlySpan<char> prefix)
    {
        foreach (Range part in prefix.Split('.'))
        {
            foreach (string draft in Drafts)
            {
                if (prefix[part].SequenceEqual(draft))
                {
                    return true;
                }
            }
        }

        return false;
    }

    /// <summary>Whether a tensor is one of the experts, by its name after the layer's.</summary>
    public static bool IsExpert(ReadOnlySpan<char> name, MoeFamily family)
    {
        foreach (string part in family.Containers)
        {
            if (name.Length > part.Length && name[part.Length] == '.' && name.StartsWith(part))
            {
                return true;
            }
        }

        foreach (string part in family.BareExperts)
        {
            if (name.Length > part.Length && name[part.Length] == '.' && name.StartsWith(part))
            {
                return true;
            }
        }

        return false;
    }
}
