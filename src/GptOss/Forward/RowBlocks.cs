using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>
/// Rows as the kernels read them: in blocks of a few, and within a block element by element, [inputs][rows of the block]. An odd last
/// input has a partner of zero.
/// </summary>
internal sealed unsafe class RowBlocks : IDisposable
{
    private readonly int _blockRows;
    private readonly int _inputs;
    private readonly int _width;
    private readonly NativeBuffer _buffer;

    public RowBlocks(int maxRows, int inputs, int blockRows)
    {
        _blockRows = blockRows;
        _inputs = inputs;
        _width = (inputs + 1) / 2 * 2;
        _buffer = new NativeBuffer((long)maxRows * _width * sizeof(float));
    }

    /// <summary>Rows that are there now.</summary>
    public int Rows { get; set; }

    public int Count => (Rows + _blockRows - 1) / _blockRows;

    public int FirstRow(int block) => block * _blockRows;

    public int RowsOf(int block) => Math.Min(_blockRows, Rows - FirstRow(block));

    public float* Block(int block) => _buffer.Pointer<float>() + ((long)FirstRow(block) * _width);

    /// <summary>Puts a part of a row in its place.</summary>
    public void Write(int row, int firstInput, ReadOnlySpan<float> values)
    {
        int block = row / _blockRows;
        int rows = RowsOf(block);
        float* target = Block(block) + ((long)firstInput * rows) + (row - FirstRow(block));
        if (rows == 1)
        {
            values.CopyTo(new Span<float>(target, values.Length));
        }
        else
        {
            for (int i = 0; i < values.Length; i++)
            {
                target[(long)i * rows] = values[i];
            }
        }

        if (_width > _inputs && firstInput + values.Length == _inputs)
        {
            target[(long)values.Length * rows] = 0f;
        }
    }

    public void Dispose() => _buffer.Dispose();
}
