using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>
/// A layer on its device in several copies, so that no forward finds its weights in a cache because the one before it read them, with
/// fresh tokens for each forward of a recording.
/// </summary>
internal sealed class BenchLayer : IDisposable
{
    /// <summary>Weights that the forwards between two uses of one copy touch at least: beyond the caches of today's processors.</summary>
    private const double RotatedBytes = 256 << 20;

    private const int FewestCopies = 2;
    private const int MostCopies = 32;

    /// <summary>Forwards of one recording on a GPU: the start of a graph then weighs little against them.</summary>
    private const int FewestForwards = 8;

    private readonly BenchTarget _target;
    private readonly List<MoeLayer> _layers = [];
    private readonly List<MoeForwardState> _states = [];
    private readonly List<IDisposable> _owned = [];
    private readonly MoeBuffer _hostInput;
    private readonly MoeBuffer _hostOutput;
    private readonly MoeBuffer _hostIds;
    private readonly DeviceBuffer _input;
    private readonly DeviceBuffer _output;
    private readonly DeviceBuffer _ids;
    private readonly DeviceBuffer _weights;

    /// <summary>Loads the copies and makes the buffers.</summary>
    /// <param name="host">Who makes the layer.</param>
    /// <param name="target">On which backend and device.</param>
    /// <param name="source">Weights and tokens.</param>
    /// <param name="settings">How many tokens.</param>
    /// <param name="forcePadding">Whether the host pads and slices even for a method that needs neither.</param>
    /// <param name="cancellationToken">Ends the loading early.</param>
    /// <exception cref="MoeException">The device is out of memory or failed.</exception>
    public BenchLayer(
        MoeHost host, BenchTarget target, BenchSource source, BenchSettings settings, bool forcePadding, CancellationToken cancellationToken)
    {
        _target = target;
        MoeLayerShape shape = target.Shape;
        int most = settings.Tokens.Max();
        try
        {
            for (int i = 0; i < Copies(settings.Tokens.Min()); i++)
            {
                MoeLayer layer = Keep(host.CreateLayer(
                    new MoeLayerRequest
                    {
                        Shape = shape,
                        Backend = target.Backend,
                        Device = target.Device,
                        Options = new MoeLayerOptions { MaxTokens = most, ForcePadding = forcePadding },
                    },
                    source.Weights,
                    progress: null,
                    cancellationToken));
                _layers.Add(layer);
                _states.Add(Keep(layer.CreateState()));
            }

            int rows = settings.Tokens.Max(tokens => Forwards(tokens) * tokens);
            IMoeMemory memory = Memory;
            _hostInput = Keep(source.Tokens(rows));
            _hostOutput = Keep(MoeBuffer.OnHost(MoeElementType.BFloat16, rows, shape.HiddenSize));
            _hostIds = Keep(MoeBuffer.OnHost(MoeElementType.Int32, rows, shape.TopK));
            _input = Keep(new DeviceBuffer(memory, MoeElementType.BFloat16, rows, shape.HiddenSize));
            _output = Keep(new DeviceBuffer(memory, MoeElementType.BFloat16, rows, shape.HiddenSize));
            _ids = Keep(new DeviceBuffer(memory, MoeElementType.Int32, rows, shape.TopK));
            _weights = Keep(new DeviceBuffer(memory, MoeElementType.Float32, rows, shape.TopK));
            _input.CopyIn(_hostInput.View, stream: 0);
            memory.Synchronize(stream: 0);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The sizes that the layer really has.</summary>
    public MoeLayerConfig Config => _layers[0].Config;

    public long WeightBytes => _layers[0].WeightByteCount;

    /// <summary>Whether forwards of so many tokens multiply FP8 numbers.</summary>
    public bool MultipliesFp8(int tokens) => _layers[0].MultipliesFp8(tokens);

    public long WorkspaceBytes => _states[0].ByteCount;

    public double ErrorLimit => _layers[0].Method.Numerics.RelativeError;

    private IMoeMemory Memory => _layers[0].Memory;

    /// <summary>Forwards of one recording.</summary>
    public int Forwards(int tokens)
    {
        int copies = Copies(tokens);
        return _target.Device.Kind == MoeDeviceKind.Cpu ? copies : copies * ((FewestForwards + copies - 1) / copies);
    }

    /// <summary>Enqueues a recording's forwards, each on the next copy and with tokens of its own.</summary>
    public void Enqueue(int tokens, nint stream)
    {
        int copies = Copies(tokens);
        for (int forward = 0; forward < Forwards(tokens); forward++)
        {
            int copy = forward % copies;
            _layers[copy].Forward(_states[copy], new MoeLayerCall
            {
                Input = Rows(_input.View, forward * tokens, tokens),
                Output = Rows(_output.View, forward * tokens, tokens),
                TopKIds = Rows(_ids.View, forward * tokens, tokens),
                TopKWeights = Rows(_weights.View, forward * tokens, tokens),
                Stream = stream,
            });
        }
    }

    /// <summary>Makes sure that what a recording leaves unwritten does not look like a result.</summary>
    public void SpoilResults(int tokens)
    {
        int rows = Forwards(tokens) * tokens;
        Poison.Fill(_hostOutput);
        Poison.Fill(_hostIds);
        _output.CopyIn(_hostOutput.View.FirstRows(rows), stream: 0);
        _ids.CopyIn(_hostIds.View.FirstRows(rows), stream: 0);
        Memory.Synchronize(stream: 0);
    }

    /// <summary>What the recording's forwards read and wrote, one after the other; valid until the next call.</summary>
    public LayerBatch ReadResults(int tokens)
    {
        int rows = Forwards(tokens) * tokens;
        var batch = new LayerBatch(_hostInput.View.FirstRows(rows), _hostOutput.View.FirstRows(rows), _hostIds.View.FirstRows(rows));
        _output.CopyOut(batch.Output, stream: 0);
        _ids.CopyOut(batch.TopKIds, stream: 0);
        Memory.Synchronize(stream: 0);
        return batch;
    }

    public void Dispose()
    {
        for (int i = _owned.Count - 1; i >= 0; i--)
        {
            _owned[i].Dispose();
        }
    }

    private static MoeTensorView Rows(MoeTensorView view, int first, int count) =>
        new(view.RowAddress(first), view.Device, view.ElementType, count, view.Columns, view.RowStride);

    private int Copies(int tokens)
    {
        MoeLayerShape shape = _target.Shape;
        double bytes = BenchFloor.Bytes(shape, Math.Min(shape.ExpertCount, (long)tokens * shape.TopK));
        return (int)Math.Clamp(Math.Ceiling(RotatedBytes / bytes), FewestCopies, MostCopies);
    }

    private T Keep<T>(T item)
        where T : IDisposable
    {
        _owned.Add(item);
        return item;
    }
}
