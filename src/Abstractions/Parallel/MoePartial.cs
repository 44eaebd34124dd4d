namespace Moe.Plugins;

/// <summary>
/// One rank's part of a sum, not yet reduced: it comes from a <see cref="MoePartialBuffer"/>, and only a reduction takes it, once. What a
/// reduction writes is a <see cref="MoeTensorView"/>, which no reduction takes: nothing is reduced twice.
/// </summary>
public readonly struct MoePartial
{
    private readonly MoePartialBuffer? _buffer;
    private readonly MoeTensorView _view;
    private readonly long _number;

    internal MoePartial(MoePartialBuffer buffer, MoeTensorView view, long number)
    {
        _buffer = buffer;
        _view = view;
        _number = number;
    }

    /// <summary>Rows of the part.</summary>
    public int Rows => _view.Rows;

    /// <summary>Where the rank writes its part, until it is reduced.</summary>
    /// <exception cref="InvalidOperationException">The part was reduced, or its memory was lent again.</exception>
    public MoeTensorView View
    {
        get
        {
            Buffer.Require(_number);
            return _view;
        }
    }

    /// <summary>For who implements a reduction: whether the part lies in this buffer.</summary>
    public bool IsIn(MoePartialBuffer buffer)
    {
        ArgumentNullException.ThrowIfNull(buffer);
        return ReferenceEquals(_buffer, buffer);
    }

    /// <summary>For who implements a reduction: takes the part, which is over with it.</summary>
    /// <exception cref="InvalidOperationException">The part was reduced already, or its memory was lent again.</exception>
    public MoeTensorView Take()
    {
        Buffer.End(_number);
        return _view;
    }

    private MoePartialBuffer Buffer => _buffer ?? throw new InvalidOperationException("This is no part of a sum: a communicator lends them.");
}
