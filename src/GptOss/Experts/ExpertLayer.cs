namespace Moe.Plugins.GptOss;

/// <summary>
/// A layer of experts on whichever backend the host chose, whole or a part on each rank: behind streams' work where its parts are on the devices that the
/// rest of the model is on, else fed from and read into host memory.
/// </summary>
internal sealed class ExpertLayer : IDisposable
{
    private readonly IMoeHost _host;
    private readonly MoeLayerRequest[] _requests;
    private readonly ExpertTensors _tensors;
    private readonly ModelRanks _ranks;
    private readonly IReadOnlyList<MoeDevice> _home;
    private readonly Action<int> _forward;
    private readonly Part?[] _parts;
    private bool? _isAtHome;
    private MoeTensorView _input;
    private MoeTensorView _output;

    /// <summary>Reads nothing yet: each rank's part is to be loaded.</summary>
    /// <param name="host">Makes the layers.</param>
    /// <param name="request">The whole layer.</param>
    /// <param name="tensors">Where its weights are.</param>
    /// <param name="ranks">The ranks.</param>
    /// <param name="turns">Of each rank, what its layers have in common: their forwards are enqueued one after the other.</param>
    /// <param name="home">Where the rest of the model is.</param>
    public ExpertLayer(
        IMoeHost host, MoeLayerRequest request, ExpertTensors tensors, ModelRanks ranks, IReadOnlyList<MoeTurns> turns, IReadOnlyList<MoeDevice> home)
    {
        _home = home;
        _host = host;
        _tensors = tensors;
        _ranks = ranks;
        _requests = ranks.Count == 1 ? [request with { Options = request.Options with { Turns = turns[0] } }] : [.. turns.Select((own, rank) => request with
        {
            Device = ranks.Plan.Devices[rank],
            Options = request.Options with { Part = ranks.Plan.PartOf(rank), Turns = own },
        })];
        _forward = rank => _parts![rank]!.Forward(_input, _output);
        _parts = new Part?[_requests.Length];
    }

    /// <summary>The backend that runs it, and why; of ranks the first one's.</summary>
    public MoeSelectionReport Selection => _parts[0]!.Selection;

    public long ByteCount => _parts.Sum(part => part!.Layer.WeightByteCount);

    /// <summary>Bytes of the layer as the checkpoint has it.</summary>
    public long StoredByteCount => ExpertBytes.Of(_tensors.Shape);

    /// <summary>Loads a rank's part. Parts of several ranks and layers may load at once.</summary>
    /// <exception cref="MoeException">No backend can run the layer, or it failed at making it.</exception>
    public void Load(int rank, IProgress<double>? progress, CancellationToken cancellationToken) => _parts[rank] = Make(rank, progress, cancellationToken);

    /// <summary>
    /// Makes the layer again where its plugin was reloaded since, or its device was lost. The old one is freed once the new one is there.
    /// </summary>
    /// <returns>Whether it did.</returns>
    /// <exception cref="MoeException">The new one cannot be made; the old one goes on.</exception>
    public bool Refresh(CancellationToken cancellationToken)
    {
        if (!Array.Exists(_parts, part => part!.Layer.IsOutdated || part.Layer.Failure is not null))
        {
            return false;
        }

        var made = new Part?[_parts.Length];
        try
        {
            _ranks.Run(rank => made[rank] = Make(rank, progress: null, cancellationToken));
        }
        catch
        {
            Array.ForEach(made, part => part?.Dispose());
            throw;
        }

        Array.ForEach(_parts, part => part!.Dispose());
        made.CopyTo(_parts, 0);
        _isAtHome = null;
        return true;
    }

    /// <summary>Runs the layer and waits.</summary>
    /// <param name="input">[tokens, hidden] of the request's input type, in host memory.</param>
    /// <param name="output">[tokens, hidden] of the request's output type, in host memory.</param>
    public void Forward(MoeTensorView input, MoeTensorView output)
    {
        _input = input;
        _output = output;
        _ranks.Run(_forward);
    }

    /// <summary>Whether it is on the devices that the rest of the model is on, once all parts are loaded.</summary>
    public bool IsAtHome => _isAtHome ??= _parts.Select(part => part!.Layer.Device).SequenceEqual(_home);

    /// <summary>Puts a rank's part of the layer behind what a stream holds, where it is at home. All ranks make the same calls.</summary>
    /// <param name="rank">The rank.</param>
    /// <param name="input">[tokens, hidden] of the request's input type, on the rank's device.</param>
    /// <param name="output">[tokens, hidden] of the request's output type, on the rank's device.</param>
    /// <param name="stream">The device's stream.</param>
    /// <param name="addNorm">What is added to the ranks' sum, and how it is normed; only with several ranks.</param>
    public void Enqueue(int rank, MoeTensorView input, MoeTensorView output, nint stream, MoeAddNorm? addNorm = null) =>
        _parts[rank]!.Enqueue(input, output, stream, addNorm);

    public void Dispose() => Array.ForEach(_parts, part => part?.Dispose());

    private Part Make(int rank, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        MoeLayerRequest request = _requests[rank];
        IMoeLayer layer = _host.CreateLayer(request, _tensors.Source, progress, cancellationToken);

        // A host may have put the request on a device.
        var part = new Part(layer, _host.Selections.Last(report => ReferenceEquals(report.Request.Options, request.Options)), rank);
        try
        {
            part.Prepare(_ranks.Member(rank), isAtHome: _requests.Length == _home.Count && layer.Device == _home[rank]);
            return part;
        }
        catch
        {
            part.Dispose();
            throw;
        }
    }

    /// <summary>One rank's part as it is now.</summary>
    private sealed class Part(IMoeLayer layer, MoeSelectionReport selection, int rank) : IDisposable
    {
        private readonly List<MoeBuffer> _buffers = [];
        private IMoeForwardState? _state;
        private MoeBuffer? _input;
        private MoeBuffer? _output;

        public IMoeLayer Layer => layer;

        public MoeSelectionReport Selection => selection;

        public void Prepare(IMoeCommunicator? member, bool isAtHome)
        {
            _state = member is null ? layer.CreateState() : layer.CreateState(member);
            MoeLayerConfig config = layer.Config;
            if (isAtHome)
            {
                return;
            }

            if (layer.Device.Kind != MoeDeviceKind.Cpu)
            {
                _input = Own(new MoeBuffer(layer.Memory, config.Options.InputType, config.MaxTokens, config.Shape.HiddenSize));
                _output = Own(new MoeBuffer(layer.Memory, config.Options.OutputType, config.MaxTokens, config.Shape.HiddenSize));
            }
            else if (rank > 0)
            {
                // Every rank ends with the same sums; the first one's are read.
                _output = Own(MoeBuffer.OnHost(config.Options.OutputType, config.MaxTokens, config.Shape.HiddenSize));
            }
        }

        public void Forward(MoeTensorView input, MoeTensorView output)
        {
            IMoeMemory memory = layer.Memory;
            MoeTensorView result = _output is null ? output : _output.View.FirstRows(output.Rows);
            if (_input is null)
            {
                layer.Forward(_state!, new MoeLayerCall { Input = input, Output = result });
                layer.Synchronize();
                return;
            }

            memory.CopyIn(_input.View.Address, input.Address, input.Rows * input.RowBytes, stream: 0);
            layer.Forward(_state!, new MoeLayerCall { Input = _input.View.FirstRows(input.Rows), Output = result });
            if (rank == 0)
            {
                memory.CopyOut(output.Address, result.Address, output.Rows * output.RowBytes, stream: 0);
            }

            layer.Synchronize();
        }

        public void Enqueue(MoeTensorView input, MoeTensorView output, nint stream, MoeAddNorm? addNorm) =>
            layer.Forward(_state!, new MoeLayerCall { Input = input, Output = output, AddNorm = addNorm, Stream = stream });

        public void Dispose()
        {
            _buffers.ForEach(buffer => buffer.Dispose());
            layer.Dispose();
        }

        private MoeBuffer Own(MoeBuffer buffer)
        {
            _buffers.Add(buffer);
            return buffer;
        }
    }
}
