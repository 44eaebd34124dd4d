namespace Moe.Plugins.Checkpoints;

/// <summary>
/// The factors of NVFP4 matrices, one for each plane, or two, of gates and ups apart. ModelOpt stores what codes are multiplied by,
/// compressed-tensors what they are divided by (<c>quantization/lifecycle/forward_helpers.py</c>).
/// </summary>
internal sealed class GlobalScales
{
    private readonly (MoeStoredTensor Tensor, int Index)[] _places;
    private readonly bool _divides;

    private GlobalScales((MoeStoredTensor Tensor, int Index)[] places, int halves, bool divides)
    {
        _places = places;
        _divides = divides;
        Halves = halves;
    }

    /// <summary>1, or 2 where gates and ups have factors of their own.</summary>
    public int Halves { get; }

    /// <summary>The factors of a tensor, in order; null where there are not one or two for each plane.</summary>
    public static GlobalScales? From(MoeStoredTensor tensor, int planes, bool divides)
    {
        long count = (long)tensor.Planes * tensor.Rows * tensor.Columns;
        return count == planes || count == 2L * planes
            ? new GlobalScales([.. Enumerable.Range(0, (int)count).Select(i => (tensor, i))], (int)count / planes, divides)
            : null;
    }

    public static GlobalScales Stack(IReadOnlyList<GlobalScales> experts) =>
        new([.. experts.SelectMany(expert => expert._places)], experts[0].Halves, experts[0]._divides);

    /// <summary>[1, planes] float32: the factors of one half, or those of both where there is one for each plane.</summary>
    public MoeStoredTensor OfHalf(int half) => new Factors(
        [.. Enumerable.Range(0, _places.Length / Halves).Select(plane => _places[(plane * Halves) + (Halves == 1 ? 0 : half)])], _divides);

    private sealed unsafe class Factors((MoeStoredTensor Tensor, int Index)[] places, bool divides)
        : MoeStoredTensor(MoeElementType.Float32, 1, 1, places.Length)
    {
        protected override void ReadCore(
            int plane, int firstRow, int rowCount, long rowOffset, long byteCount, nint destination, long destinationStride)
        {
            for (int i = 0; i < byteCount / sizeof(float); i++)
            {
                (MoeStoredTensor tensor, int index) = places[(rowOffset / sizeof(float)) + i];
                float value;
                int row = index / tensor.Columns;
                tensor.Read(row / tensor.Rows, row % tensor.Rows, 1, index % tensor.Columns, 1, (nint)(&value));
                ((float*)destination)[i] = divides ? 1 / value : value;
            }
        }
    }
}
