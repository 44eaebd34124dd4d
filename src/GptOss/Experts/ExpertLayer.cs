namespace Moe.Plugins.GptOss;

/// <summary>A layer of experts on whichever backend the host chose, fed from and read into host memory.</summary>
internal sealed class ExpertLayer : IDisposable
{
    private readonly MoeHost _host;
    private readonly MoeLayerRequest _request;
    private readonly ExpertTensors _tensors;
    private Running _running;

    /// <exception cref="MoeException">No backend can run the layer, or it failed at making it.</exception>
    public ExpertLayer(MoeHost host, MoeLayerRequest request, ExpertTensors tensors, CancellationToken cancellationToken)
    {
        _host = host;
        _request = request;
        _tensors = tensors;
        _running = Make(cancellationToken);
    }

    /// <summary>The backend that runs it, and why.</summary>
    public MoeSelectionReport Selection => _running.Selection;

    public MoeDevice Device => _running.Layer.Device;

    public long ByteCount => _running.Layer.WeightByteCount;

    /// <summary>
    /// Makes the layer again where its plugin was reloaded since, or its device was lost. The old one is freed once the new one is there.
    /// </summary>
    /// <returns>Whether it did.</returns>
    /// <exception cref="MoeException">The new one cannot be made; the old one goes on.</exception>
    public bool Refresh(CancellationToken cancellationToken)
    {
        if (!_running.IsOutdated(_host))
        {
            return false;
        }

        Running old = _running;
        _running = Make(cancellationToken);
        old.Dispose();
        return true;
    }

    /// <summary>Runs the layer and waits.</summary>
    /// <param name="input">[tokens, hidden] of the request's input type, in host memory.</param>
    /// <param name="output">[tokens, hidden] of the request's output type, in host memory.</param>
    public void Forward(MoeTensorView input, MoeTensorView output) => _running.Forward(input, output);

    public void Dispose() => _running.Dispose();

    private Running Make(CancellationToken cancellationToken)
    {
        MoeLayer layer = _host.CreateLayer(_request, _tensors.Source, progress: null, cancellationToken);
        try
        {
            return new Running(layer, _host.Selections.Last(report => ReferenceEquals(report.Request, _request)), _host);
        }
        catch
        {
            layer.Dispose();
            throw;
        }
    }

    /// <summary>The layer as it is now.</summary>
    private sealed class Running : IDisposable
    {
        // Weak: it must not keep a plugin that was replaced from being unloaded.
        private readonly WeakReference<IMoeBackend?> _backend;
        private readonly MoeForwardState _state;
        private readonly MoeBuffer? _input;
        private readonly MoeBuffer? _output;

        public Running(MoeLayer layer, MoeSelectionReport selection, MoeHost host)
        {
            Layer = layer;
            Selection = selection;
            _backend = new WeakReference<IMoeBackend?>(host.FindBackend(selection.Selected!.Id));
            _state = layer.CreateState();
            if (layer.Device.Kind != MoeDeviceKind.Cpu)
            {
                MoeLayerConfig config = layer.Config;
                _input = new MoeBuffer(layer.Method.Memory, config.Options.InputType, config.MaxTokens, config.Shape.HiddenSize);
                _output = new MoeBuffer(layer.Method.Memory, config.Options.OutputType, config.MaxTokens, config.Shape.HiddenSize);
            }
        }

        public MoeLayer Layer { get; }

        public MoeSelectionReport Selection { get; }

        public bool IsOutdated(MoeHost host) =>
            Layer.Failure is not null
            || host.FindBackend(Selection.Selected!.Id) is not { } backend
            || !_backend.TryGetTarget(out IMoeBackend? own)
            || !ReferenceEquals(backend, own);

        public void Forward(MoeTensorView input, MoeTensorView output)
        {
            if (_input is null || _output is null)
            {
                Layer.Forward(_state, new MoeLayerCall { Input = input, Output = output });
                Layer.Synchronize();
                return;
            }

            IMoeMemory memory = Layer.Method.Memory;
            memory.CopyIn(_input.View.Address, input.Address, input.Rows * input.RowBytes, stream: 0);
            MoeTensorView result = _output.View.FirstRows(output.Rows);
            Layer.Forward(_state, new MoeLayerCall { Input = _input.View.FirstRows(input.Rows), Output = result });
            memory.CopyOut(output.Address, result.Address, output.Rows * output.RowBytes, stream: 0);
            Layer.Synchronize();
        }

        public void Dispose()
        {
            _input?.Dispose();
            _output?.Dispose();
            Layer.Dispose();
        }
    }
}
