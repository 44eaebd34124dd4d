namespace Moe.Plugins.Cli;

/// <summary>
/// A rank's part of a layer that is padded around its method, as where neither layer nor method can do without: the method is driven directly, since
/// a host would slice what is to be summed as wide as it is padded.
/// </summary>
internal sealed class PaddedPart : IDisposable
{
    private readonly IMoeQuantMethod _method;
    private readonly IMoeWeights _weights;
    private readonly IMoeWorkspace _workspace;
    private readonly DeviceBuffer _input;

    /// <exception cref="MoeException">The part does not fit the backend or its device.</exception>
    public PaddedPart(IMoeBackend backend, MoeDevice device, MoeLayerShape shape, MoeLayerOptions options, MoeWeightSource source, CancellationToken cancellationToken)
    {
        MoeLayerShape part = shape.Slice(options.Part);
        _method = backend.CreateQuantMethod(new MoeProbeRequest { Shape = part, Device = device, InputType = options.InputType, OutputType = options.OutputType });
        try
        {
            Config = MoeLayerConfig.Create(part, _method, options with { ForcePadding = true });
            _weights = _method.CreateWeights(Config, source.Slice(shape, options.Part), progress: null, cancellationToken);
            _workspace = _weights.CreateWorkspace();
            _input = new DeviceBuffer(_method.Memory, options.InputType, options.MaxTokens, Config.InputWidth);
            _method.Memory.Zero(_input.View.Address, options.MaxTokens * _input.View.RowStride, stream: 0);
            _method.Memory.Synchronize(stream: 0);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The sizes, with the padding on both sides.</summary>
    public MoeLayerConfig Config { get; } = null!;

    /// <summary>The hidden size that a backend pads to; the shape's own where it pads nothing.</summary>
    public static int WidthOf(IMoeBackend backend, MoeDevice device, MoeLayerShape shape)
    {
        using IMoeQuantMethod method = backend.CreateQuantMethod(new MoeProbeRequest { Shape = shape, Device = device });
        return method.RoundUpHiddenSize(shape.HiddenSize);
    }

    /// <summary>Pads the input and enqueues a forward.</summary>
    /// <param name="input">[tokens, hidden size].</param>
    /// <param name="output">[tokens, padded hidden size].</param>
    /// <param name="ids">Where the experts' ids go; empty where nobody wants them.</param>
    /// <param name="weights">Where their weights go; empty where nobody wants them.</param>
    /// <param name="stream">The stream.</param>
    public void Enqueue(MoeTensorView input, MoeTensorView output, MoeTensorView ids, MoeTensorView weights, nint stream)
    {
        MoeTensorView padded = _input.View.FirstRows(input.Rows);
        _method.Memory.Copy2D(padded.Address, padded.RowStride, input.Address, input.RowStride, input.RowBytes, input.Rows, stream);
        _workspace.Forward(new MoeForwardArguments
        {
            Input = padded,
            RouterInput = input,
            Output = output,
            TopKIds = ids,
            TopKWeights = weights,
            Stream = stream,
        });
    }

    public void Dispose()
    {
        _input?.Dispose();
        _workspace?.Dispose();
        _weights?.Dispose();
        _method.Dispose();
    }
}
