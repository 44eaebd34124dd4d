namespace Moe.Plugins.Cli;

/// <summary>
/// One rank's part of a layer in two copies, so that no forward finds its weights in a cache because the one before it read them, with fresh tokens for
/// each forward of a recording, and what the ways read and write.
/// </summary>
internal sealed class LayerRank : IDisposable
{
    /// <summary>Forwards of a recording.</summary>
    public const int Forwards = 8;

    private const int Copies = 2;
    private const float Epsilon = 1e-5f;

    private readonly LayerGroups _groups;
    private readonly int _rank;
    private readonly LayerWays _ways;
    private readonly List<IDisposable> _owned = [];
    private readonly List<(MoeLayer Layer, MoeForwardState State)> _layers = [];
    private readonly List<PaddedPart> _padded = [];
    private readonly DeviceBuffer _input;
    private readonly DeviceBuffer _output;
    private readonly DeviceBuffer _residual;
    private readonly DeviceBuffer _residualOutput;
    private readonly DeviceBuffer _normWeight;
    private readonly DeviceBuffer _ids;
    private readonly DeviceBuffer _weights;
    private readonly nint _stream;

    /// <exception cref="MoeException">The device is out of memory or failed.</exception>
    public LayerRank(
        MoeHost host, BenchTarget target, LayerGroups groups, LayerTensors tensors, MoeLayerOptions options, MoeWeightSource source, CancellationToken cancellationToken)
    {
        _groups = groups;
        _rank = options.Part.Rank;
        try
        {
            IMoeBackend backend = host.FindBackend(target.Backend)!;
            for (int copy = 0; copy < Copies; copy++)
            {
                MoeLayer layer = Own(host.CreateLayer(
                    new MoeLayerRequest { Shape = target.Shape, Backend = target.Backend, Device = Member.Device, Options = options }, source, null, cancellationToken));
                _layers.Add((layer, Own(layer.CreateState(Member))));
                if (groups.IsPadded)
                {
                    _padded.Add(Own(new PaddedPart(backend, Member.Device, target.Shape, options, source, cancellationToken)));
                }
            }

            int rows = tensors.Input.View.Rows;
            int width = target.Shape.HiddenSize;
            _input = Device(MoeElementType.BFloat16, rows, width);
            _output = Device(MoeElementType.BFloat16, rows, width);
            _residual = Device(MoeElementType.BFloat16, rows, width);
            _residualOutput = Device(MoeElementType.BFloat16, rows, width);
            _normWeight = Device(MoeElementType.BFloat16, 1, width);
            _ways = Own(new LayerWays(groups, _rank));
            _ids = Device(MoeElementType.Int32, rows, target.Shape.TopK);
            _weights = Device(MoeElementType.Float32, rows, target.Shape.TopK);
            _stream = Member.Memory.CreateStream();
            _input.CopyIn(tensors.Input.View, _stream);
            _residual.CopyIn(tensors.Residual.View, _stream);
            _normWeight.CopyIn(tensors.NormWeight.View, _stream);
            Member.Memory.Synchronize(_stream);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The error that the backend promises to stay below.</summary>
    public double ErrorLimit => _layers[0].Layer.Method.Numerics.RelativeError;

    private IMoeCommunicator Member => _groups.Ranks.Members[_rank];

    /// <summary>Enqueues a recording's forwards, each on the next copy and with tokens of its own.</summary>
    public void Enqueue(LayerWay way, int tokens, nint stream)
    {
        for (int forward = 0; forward < Forwards; forward++)
        {
            Enqueue(way, forward, tokens, stream);
        }
    }

    /// <summary>Runs a way once, and waits for it.</summary>
    /// <param name="way">The way.</param>
    /// <param name="tokens">Tokens of a forward.</param>
    /// <param name="poison">What the results begin as.</param>
    public void Run(LayerWay way, int tokens, MoeBuffer poison)
    {
        _output.CopyIn(poison.View.FirstRows(Forwards * tokens), _stream);
        Enqueue(way, tokens, _stream);
        Member.Memory.Synchronize(_stream);
    }

    /// <summary>Sums over the ranks alone, and which experts the forwards chose.</summary>
    public void RunSums(int tokens)
    {
        for (int forward = 0; forward < Forwards; forward++)
        {
            (MoeLayer layer, MoeForwardState state) = _layers[forward % Copies];
            layer.Forward(state, Call(forward, tokens, Rows(_output, forward, tokens), _stream));
        }

        Member.Memory.Synchronize(_stream);
    }

    /// <summary>Reads what the last run wrote.</summary>
    public void Read(int tokens, MoeBuffer output, MoeBuffer ids)
    {
        _output.CopyOut(output.View.FirstRows(Forwards * tokens), _stream);
        _ids.CopyOut(ids.View.FirstRows(Forwards * tokens), _stream);
        Member.Memory.Synchronize(_stream);
    }

    public void Dispose()
    {
        _owned.AsEnumerable().Reverse().ToList().ForEach(item => item.Dispose());
        Member.Memory.DestroyStream(_stream);
    }

    private void Enqueue(LayerWay way, int forward, int tokens, nint stream)
    {
        (MoeLayer layer, MoeForwardState state) = _layers[forward % Copies];
        MoeLayerCall call = Call(forward, tokens, Rows(_output, forward, tokens), stream, AddNorm(forward, tokens));
        _ways.Enqueue(way, layer, state, way == LayerWay.Padded ? _padded[forward % Copies] : null, call);
    }

    private MoeLayerCall Call(int forward, int tokens, MoeTensorView output, nint stream, MoeAddNorm? addNorm = null) => new()
    {
        Input = Rows(_input, forward, tokens),
        Output = output,
        TopKIds = Rows(_ids, forward, tokens),
        TopKWeights = Rows(_weights, forward, tokens),
        AddNorm = addNorm,
        Stream = stream,
    };

    private MoeAddNorm AddNorm(int forward, int tokens) => new()
    {
        NormWeight = _normWeight.View,
        Epsilon = Epsilon,
        Residual = Rows(_residual, forward, tokens),
        ResidualOutput = Rows(_residualOutput, forward, tokens),
    };

    private static MoeTensorView Rows(DeviceBuffer buffer, int forward, int count)
    {
        MoeTensorView view = buffer.View;
        return new(view.RowAddress(forward * count), view.Device, view.ElementType, count, view.Columns, view.RowStride);
    }

    private DeviceBuffer Device(MoeElementType type, int rows, int columns) => Own(new DeviceBuffer(Member.Memory, type, rows, columns));

    private T Own<T>(T item)
        where T : IDisposable
    {
        _owned.Add(item);
        return item;
    }
}
