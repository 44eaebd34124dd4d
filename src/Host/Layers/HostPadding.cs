namespace Moe.Plugins;

/// <summary>
/// What the host does around a method that does not do so itself: a padded copy of the input, and a padded buffer for the output, which is sliced. Where the
/// method takes and writes the caller's rows there is no buffer, and nothing is copied.
/// </summary>
internal sealed class HostPadding : IDisposable
{
    private readonly IMoeMemory _memory;
    private readonly MoeBuffer? _input;
    private readonly MoeBuffer? _output;

    /// <summary>Allocates what the method wants.</summary>
    public HostPadding(MoeLayerConfig config, IMoeMemory memory)
    {
        _memory = memory;
        try
        {
            // A dispatch gathers rows in a padded buffer of its own.
            if (config.HostPadsInput && !config.Options.DispatchTokens)
            {
                // Zeroed once: every later copy writes the model's columns only.
                _input = new MoeBuffer(memory, config.Options.InputType, config.MaxTokens, config.InputWidth);
                _input.Clear();
            }

            if (config.HostSlicesOutput)
            {
                _output = new MoeBuffer(memory, config.Options.OutputType, config.MaxTokens, config.OutputWidth);
            }
        }
        catch
        {
            Fault.Ignore(Dispose);
            throw;
        }
    }

    /// <summary>Bytes of device memory.</summary>
    public long ByteCount => (_input?.ByteCount ?? 0) + (_output?.ByteCount ?? 0);

    /// <summary>The rows as the method reads them.</summary>
    public MoeTensorView Pad(in MoeTensorView input, nint stream)
    {
        if (_input is null)
        {
            return input;
        }

        MoeTensorView padded = _input.View.FirstRows(input.Rows);
        Copy(input, padded, stream);
        return padded;
    }

    /// <summary>Where the method writes so many rows that belong to a target as wide as the model.</summary>
    public MoeTensorView OutputFor(in MoeTensorView target, int rows) => _output is null ? target : _output.View.FirstRows(rows);

    /// <summary>Brings what the method wrote to the target.</summary>
    public void Slice(in MoeTensorView target, int rows, nint stream)
    {
        if (_output is not null)
        {
            Copy(_output.View.FirstRows(rows).FirstColumns(target.Columns), target, stream);
        }
    }

    public void Dispose()
    {
        try
        {
            _input?.Dispose();
        }
        finally
        {
            _output?.Dispose();
        }
    }

    // Copies the source's columns; what the destination has beyond them is untouched, and so stays zero in a padded input.
    private void Copy(in MoeTensorView source, in MoeTensorView destination, nint stream) =>
        _memory.Copy2D(destination.Address, destination.RowStride, source.Address, source.RowStride, source.RowBytes, source.Rows, stream);
}
