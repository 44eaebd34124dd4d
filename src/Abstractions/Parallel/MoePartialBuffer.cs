namespace Moe.Plugins;

/// <summary>
/// Memory that a communicator lends for parts of sums, one after another; it knows which of them is not reduced yet. For who implements a
/// communicator. One thread at a time.
/// </summary>
public sealed class MoePartialBuffer
{
    private readonly MoeTensorView _memory;
    private long _number;
    private bool _isLent;

    /// <summary>Describes the memory.</summary>
    /// <param name="memory">[most rows, width], the communicator's own.</param>
    public MoePartialBuffer(MoeTensorView memory) => _memory = memory;

    /// <summary>Lends the first rows. What was lent before is over.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are not so many rows.</exception>
    public MoePartial Lend(int rows)
    {
        if (rows < 0 || rows > _memory.Rows)
        {
            throw new ArgumentOutOfRangeException(
                nameof(rows), rows, $"The group was made for 0 to {_memory.Rows} rows ({nameof(MoeGroupRequest)}.{nameof(MoeGroupRequest.MaxTokens)}).");
        }

        _isLent = true;
        return new MoePartial(this, _memory.FirstRows(rows), ++_number);
    }

    internal bool Holds(in MoeTensorView view) =>
        view.Address >= _memory.Address && view.Address < _memory.Address + (nint)(_memory.Rows * _memory.RowStride);

    internal void Require(long number)
    {
        if (!_isLent || number != _number)
        {
            throw new InvalidOperationException("This part of a sum was reduced already, or its memory was lent again.");
        }
    }

    internal void End(long number)
    {
        Require(number);
        _isLent = false;
    }
}
