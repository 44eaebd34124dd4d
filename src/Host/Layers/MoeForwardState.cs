namespace Moe.Plugins;

/// <summary>
/// What forwards of one layer on one stream need: the method's workspace and, only where the method wants them, the host's padded
/// buffers. Made by <see cref="MoeLayer.CreateState()"/>.
/// </summary>
/// <remarks>
/// A state in which a forward has failed is not used again; the layer may be, with another one.
/// One forward at a time, and of states of layers that take turns (<see cref="MoeLayerOptions.Turns"/>) one of all: a second one from another thread is an
/// <see cref="InvalidOperationException"/>. Dispose after the work that
/// was enqueued with it; disposing the layer disposes its states.
/// </remarks>
public sealed class MoeForwardState : IMoeForwardState
{
    private const int Free = 0;
    private const int InUse = 1;
    private const int Disposed = 2;

    private readonly TurnGate? _turns;
    private HostPadding? _padding;
    private IMoeWorkspace? _workspace;
    private string? _failure;
    private int _use;

    internal MoeForwardState(MoeLayer layer, IMoeWorkspace workspace, HostPadding padding, IMoeCommunicator? communicator, TokenDispatch? dispatch)
    {
        Communicator = communicator;
        Dispatch = dispatch;
        Layer = layer;
        _turns = layer.Config.Options.Turns is { } turns ? TurnGate.Of(turns) : null;
        _workspace = workspace;
        _padding = padding;
    }

    /// <summary>The layer that the state belongs to.</summary>
    public MoeLayer Layer { get; }

    /// <summary>Bytes of device memory that the state takes: the workspace and the host's padded buffers and those of a dispatch.</summary>
    /// <exception cref="MoeException">The backend failed at telling it.</exception>
    public long ByteCount
    {
        get
        {
            IMoeWorkspace workspace = Workspace;
            return Layer.Call("telling a forward state's size", () => workspace.ByteCount) + Padding.ByteCount + (Dispatch?.ByteCount ?? 0);
        }
    }

    /// <summary>The other ranks, with which the layer's sums are reduced; null where a forward's output is this rank's alone.</summary>
    internal IMoeCommunicator? Communicator { get; private set; }

    /// <summary>What brings the other ranks' tokens here; null where every rank is handed all tokens.</summary>
    internal TokenDispatch? Dispatch { get; private set; }

    internal IMoeWorkspace Workspace => _workspace ?? throw Gone();

    internal HostPadding Padding => _padding ?? throw Gone();

    /// <summary>Frees the workspace and the buffers. Waits for a forward that is being enqueued by another thread.</summary>
    public void Dispose()
    {
        SpinWait wait = default;
        while (Interlocked.CompareExchange(ref _use, Disposed, Free) is int use && use != Free)
        {
            if (use == Disposed)
            {
                return;
            }

            wait.SpinOnce();
        }

        Layer.Forget(this);
        IDisposable?[] parts = [_padding, Dispatch, _workspace];

        // Who keeps a disposed state must not keep the plugin from being unloaded.
        _padding = null;
        _workspace = null;
        Communicator = null;
        Dispatch = null;
        Layer.Free("disposing a forward state", parts);
    }

    internal void Enter()
    {
        switch (Interlocked.CompareExchange(ref _use, InUse, Free))
        {
            case InUse:
                throw new InvalidOperationException(
                    "Another thread is running a forward with this state. A state serves one forward at a time: make one for each thread.");
            case Disposed:
                throw Gone();
        }

        if (_failure is { } failure)
        {
            Volatile.Write(ref _use, Free);
            throw new InvalidOperationException(
                $"A forward has failed with this state, and what it left there is not known: make another one. It was: {failure}");
        }

        if (_turns?.TryEnter() == false)
        {
            Volatile.Write(ref _use, Free);
            throw new InvalidOperationException(
                $"Another thread is running a forward of a layer that takes turns with this one ({nameof(MoeLayerOptions)}.{nameof(MoeLayerOptions.Turns)}).");
        }
    }

    /// <summary>Has the method run the rows of a call, and pads and slices around it where it does not do so itself.</summary>
    /// <param name="call">The call, with all tokens that are there.</param>
    /// <param name="target">As wide as the model: the caller's output, or memory that the other ranks read.</param>
    internal void Run(in MoeLayerCall call, in MoeTensorView target)
    {
        int rows = call.Input.Rows;
        if (rows == 0)
        {
            return;
        }

        Workspace.Forward(new MoeForwardArguments
        {
            Input = Dispatch?.Input(rows) ?? Padding.Pad(call.Input, call.Stream),
            RouterInput = call.Input,
            Output = Padding.OutputFor(target, rows),
            TopKIds = call.TopKIds,
            TopKWeights = call.TopKWeights,
            TokenIds = call.TokenIds,
            Routing = call.Routing,
            Stream = call.Stream,
        });
        Padding.Slice(target, rows, call.Stream);
    }

    /// <summary>Keeps the state from being used again: what the backend left in its workspace is not known.</summary>
    internal void Fail(string because) => _failure ??= because;

    internal void Leave()
    {
        _turns?.Leave();
        Volatile.Write(ref _use, Free);
    }

    private static ObjectDisposedException Gone() =>
        new(nameof(MoeForwardState), "The forward state, or the layer that it belongs to, was disposed.");
}
