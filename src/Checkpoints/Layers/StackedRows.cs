namespace Moe.Plugins.Checkpoints;

/// <summary>Tensors of one row each as the rows of one: the biases of experts that are stored apart.</summary>
internal sealed class StackedRows(MoeStoredTensor[] rows) : MoeStoredTensor(rows[0].ElementType, 1, rows.Length, rows[0].Columns)
{
    private readonly int _elementSize = rows[0].ElementType.ByteSize();

    /// <inheritdoc/>
    protected override void ReadCore(
        int plane, int firstRow, int rowCount, long rowOffset, long byteCount, nint destination, long destinationStride)
    {
        for (int row = 0; row < rowCount; row++)
        {
            rows[firstRow + row].Read(
                0, 0, 1, (int)(rowOffset / _elementSize), (int)(byteCount / _elementSize), destination + (nint)(row * destinationStride));
        }
    }
}
