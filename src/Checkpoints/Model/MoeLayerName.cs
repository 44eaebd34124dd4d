using System.Globalization;

namespace Moe.Plugins.Checkpoints;

/// <summary>The start of a tensor's name that says which layer it belongs to: <c>[prefix.]layers.N.mlp</c>.</summary>
/// <param name="Name">The start itself.</param>
/// <param name="Index">Its N.</param>
internal readonly record struct MoeLayerName(string Name, int Index)
{
    private const string Before = "layers.";
    private const string After = ".mlp.";

    /// <summary>Finds the layer of a tensor that belongs to the experts of one.</summary>
    public static bool TryParse(string tensor, out MoeLayerName layer)
    {
        layer = default;
        int end = tensor.IndexOf(After + "experts.", StringComparison.Ordinal);
        if (end < 0)
        {
            return false;
        }

        int digits = tensor.LastIndexOf('.', end - 1) + 1;
        bool isLayer = tensor.AsSpan(0, digits).EndsWith(Before, StringComparison.Ordinal)
            && (digits == Before.Length || tensor[digits - Before.Length - 1] == '.');
        if (!isLayer || !int.TryParse(tensor.AsSpan(digits, end - digits), NumberStyles.None, CultureInfo.InvariantCulture, out int index))
        {
            return false;
        }

        layer = new MoeLayerName(tensor[..(end + After.Length - 1)], index);
        return true;
    }
}
