using System.Globalization;

namespace Moe.Plugins.Checkpoints;

/// <summary>Where a network's matrices are: one each, one for all experts, or one for each expert.</summary>
/// <param name="matrices">Reads a matrix by its whole name.</param>
/// <param name="layer">The layer, for messages.</param>
/// <param name="start">What the matrices' names begin with, its last dot included.</param>
/// <param name="experts">Experts that have matrices of their own; 0 where none has.</param>
/// <param name="isGated">Whether the activation has a gate.</param>
internal sealed class ProductSource(MatrixReader matrices, LayerTensors layer, string start, int experts, bool isGated)
{
    public bool IsGated => isGated;

    /// <summary>Whether there is a matrix of that name.</summary>
    public bool Has(string matrix) => matrices.Has(NameOf(matrix, 0));

    /// <summary>Reads a matrix, of each expert where each has its own.</summary>
    /// <exception cref="MoeException">It is not there, or in a format that is not read.</exception>
    public StoredMatrix Read(string matrix) => experts == 0
        ? matrices.Read(NameOf(matrix, 0))
        : StoredMatrix.Stack([.. Enumerable.Range(0, experts).Select(expert => matrices.Read(NameOf(matrix, expert)))]);

    /// <summary>Names of modules that lists of what is quantised may have for a matrix: of the first and the last expert.</summary>
    public IEnumerable<string> Modules(string name)
    {
        yield return name;
        if (experts > 1)
        {
            yield return NameOf(name[(NameOf("", 0).Length)..], experts - 1);
        }
    }

    /// <summary>Says what is wrong.</summary>
    public MoeException Error(string what) => layer.Error(what);

    private string NameOf(string matrix, int expert) =>
        experts == 0 ? start + matrix : string.Create(CultureInfo.InvariantCulture, $"{start}{expert}.{matrix}");
}
