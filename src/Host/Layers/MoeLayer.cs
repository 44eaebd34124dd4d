using System.Runtime.ExceptionServices;

namespace Moe.Plugins;

/// <summary>
/// A mixture-of-experts layer on one backend: made once, run on every batch. It asks the method for its sizes first, has the weights
/// made from them, and in a forward pads the input and slices the output exactly where the method does not do so itself.
/// </summary>
/// <remarks>
/// Weights are immutable: several threads may run forwards at once, each with a state of its own. Dispose after the enqueued work is
/// done; it frees the layer's states, its weights and its method.
/// </remarks>
public sealed class MoeLayer : IMoeLayer
{
    private readonly PluginOwner? _owner;
    private Parts? _parts;
    private readonly MoeDevice _device;
    private readonly bool _hasRouter;
    private readonly MoeLayerShape _whole;
    private readonly Lock _lock = new();
    private readonly List<MoeForwardState> _states = [];
    private MoeException? _failure;
    private bool _isDisposed;

    private MoeLayer(PluginOwner? owner, IMoeQuantMethod method, MoeLayerConfig config, IMoeMemory memory, IMoeWeights weights, MoeLayerShape whole, bool hasRouter)
    {
        _owner = owner;
        Config = config;
        _device = memory.Device;
        _hasRouter = hasRouter;
        _whole = whole;
        WeightByteCount = weights.ByteCount;
        WeightRoundingError = weights.RoundingError;
        WeightRemark = weights.Remark is { } remark ? PlainText.OfMessage(remark) : null;
        _parts = new Parts(method, memory, weights);
    }

    /// <inheritdoc/>
    public MoeLayerConfig Config { get; }

    /// <summary>The backend's method.</summary>
    /// <exception cref="ObjectDisposedException">The layer was disposed.</exception>
    public IMoeQuantMethod Method => Live.Method;

    /// <inheritdoc/>
    public MoeDevice Device => _device;

    /// <inheritdoc/>
    public IMoeMemory Memory => Live.Memory;

    /// <inheritdoc/>
    public long WeightByteCount { get; }

    /// <inheritdoc/>
    public double WeightRoundingError { get; }

    /// <inheritdoc/>
    public string? WeightRemark { get; }

    /// <inheritdoc/>
    public MoeException? Failure => Volatile.Read(ref _failure);

    /// <inheritdoc/>
    public bool IsOutdated => Outdated?.Invoke() == true;

    /// <summary>The layer's name, as the host was asked for it; empty where it was made without a host.</summary>
    internal string Name { get; set; } = "";

    /// <summary>Says whether the plugin was replaced; null where the layer was made without a host.</summary>
    internal Func<bool>? Outdated { get; set; }

    /// <summary>Told when the layer is disposed.</summary>
    internal Action<MoeLayer>? Disposed { get; set; }

    /// <summary>Told when the layer finds that its device's context is lost.</summary>
    internal Action<MoeLayer, MoeException>? DeviceLost { get; set; }

    /// <summary>Makes a layer from a method, without a host: rounds, checks the weights, has them loaded, in this order.</summary>
    /// <param name="method">The method. The layer disposes it, but only if it could be made.</param>
    /// <param name="shape">The model's own sizes.</param>
    /// <param name="weights">The checkpoint's tensors; valid until the call returns.</param>
    /// <param name="options">What the host decides; null for the defaults.</param>
    /// <param name="progress">Told the share of the weights that is loaded, 0 to 1.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    /// <exception cref="MoeException">Shape, options or weights are wrong, the method broke the contract, or its device failed.</exception>
    public static MoeLayer Create(
        IMoeQuantMethod method,
        MoeLayerShape shape,
        MoeWeightSource weights,
        MoeLayerOptions? options = null,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default) =>
        Create(owner: null, method, shape, weights, options, progress, cancellationToken);

    /// <inheritdoc/>
    public bool MultipliesFp8(int tokens) => Live.Weights.MultipliesFp8(tokens);

    /// <inheritdoc cref="IMoeLayer.CreateState()"/>
    public MoeForwardState CreateState() => Config.Options.DispatchTokens
        ? throw new MoeException(
            MoeReason.Configuration,
            $"The layer dispatches tokens ({nameof(MoeLayerOptions)}.{nameof(MoeLayerOptions.DispatchTokens)}): its states need a member of a group.")
        : AddState(communicator: null);

    /// <inheritdoc cref="IMoeLayer.CreateState(IMoeCommunicator)"/>
    public MoeForwardState CreateState(IMoeCommunicator communicator)
    {
        ArgumentNullException.ThrowIfNull(communicator);
        CommunicatorCheck.Check(communicator, Config, _device);
        (string Name, string Value)[] backend = [("the layer's backend", _owner?.Id ?? Method.GetType().Name), ("the version of the layer's backend", _owner?.Version ?? "")];
        if (communicator.Request.Rendezvous is { } rendezvous)
        {
            Agreement.Require(rendezvous, "making a layer's state", [.. backend, .. Properties()], communicator.Request.Timeout);
        }

        MoeForwardState state = AddState(communicator);
        if (communicator is HostMember member)
        {
            try
            {
                // One that could not be made does not count: the rank may make the layer again, on another backend.
                member.Layers.Require(member.Rank, $"{Name} {string.Join(' ', Properties().Select(property => property.Value))}", $"{backend[0].Value} {backend[1].Value}");
            }
            catch
            {
                Fault.Ignore(state.Dispose);
                throw;
            }
        }

        return state;
    }

    // What all ranks' parts of a layer have in common, beside the backend.
    private (string Name, string Value)[] Properties() =>
    [
        ("the layer's shape", $"{_whole}"),
        ("the ranks that share an expert", $"{Config.Shape.Part.TensorCount}"),
        (nameof(MoeLayerOptions.MaxTokens), $"{Config.Options.MaxTokens}"),
        (nameof(MoeLayerOptions.InputType), $"{Config.Options.InputType}"),
        (nameof(MoeLayerOptions.DispatchTokens), $"{Config.Options.DispatchTokens}"),
    ];

    private MoeForwardState AddState(IMoeCommunicator? communicator)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        ThrowIfFailed();
        MoeForwardState state;
        try
        {
            state = PluginOwner.Call(_owner, "making a forward state", () => MakeState(communicator));
        }
        catch (MoeException exception)
        {
            Note(exception);
            throw;
        }

        lock (_lock)
        {
            if (!_isDisposed)
            {
                _states.Add(state);
                return state;
            }
        }

        state.Dispose();
        throw new ObjectDisposedException(nameof(MoeLayer));
    }

    IMoeForwardState IMoeLayer.CreateState() => CreateState();

    IMoeForwardState IMoeLayer.CreateState(IMoeCommunicator communicator) => CreateState(communicator);

    void IMoeLayer.Forward(IMoeForwardState state, MoeLayerCall layerCall)
    {
        ArgumentNullException.ThrowIfNull(state);
        Forward(state as MoeForwardState ?? throw OtherLayers(nameof(state)), layerCall);
    }

    /// <inheritdoc cref="IMoeLayer.Forward"/>
    public void Forward(MoeForwardState state, MoeLayerCall call)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (state.Layer != this)
        {
            throw OtherLayers(nameof(state));
        }

        ThrowIfFailed();
        LayerCallCheck.Check(call, Config, _device, _hasRouter, hasGroup: state.Communicator is not null);
        state.Enter();
        bool isExchange = false;
        try
        {
            if (state.Communicator is { } communicator)
            {
                MoeLayerCall own = state.Dispatch?.RouteFirst(call, state.Workspace) ?? call;
                isExchange = true;
                MoeLayerCall all = state.Dispatch?.Gather(own) ?? call;
                MoePartial partial = communicator.LendPartial(all.Input.Rows);
                isExchange = false;
                state.Run(all, partial.View);
                state.Dispatch?.ReturnRouting(own);
                isExchange = true;
                Reduce(communicator, partial, call, state.Dispatch?.ExpertsOf(all) ?? default);
            }
            else
            {
                state.Run(call, call.Output);
            }
        }
        catch (Exception exception)
        {
            MoeTelemetry.ForwardFailed(_owner?.Id);

            // Whatever it is: the host's own checks of arguments come before, and a backend that complains may be half done.
            Fault fault = Fault.Read(exception);
            state.Fail(fault.Sentence);
            Abandon(state.Communicator, fault.Sentence);
            if (isExchange)
            {
                // The group's word, which names the rank: this layer's backend did nothing wrong.
                throw;
            }

            throw Explain(exception, fault, "running a forward, whose output is not to be used");
        }
        finally
        {
            state.Leave();
        }

        MoeTelemetry.Forwarded(_owner?.Id, call.Input.Rows);
    }

    /// <inheritdoc/>
    public void Synchronize(nint stream = 0)
    {
        Parts parts = Live;
        ThrowIfFailed();
        try
        {
            parts.Memory.Synchronize(stream);
        }
        catch (Exception exception)
        {
            throw Explain(exception, Fault.Read(exception), "waiting for forwards, whose outputs are not to be used");
        }

        ThrowIfGroupEnded();
    }

    /// <summary>Frees the states, the weights and the method.</summary>
    public void Dispose()
    {
        MoeForwardState[] states;
        lock (_lock)
        {
            if (_isDisposed)
            {
                return;
            }

            _isDisposed = true;
            states = [.. _states];
        }

        IDisposable[] parts = [.. states, _parts!.Weights, _parts.Method];

        // Who keeps a disposed layer must not keep the plugin from being unloaded.
        _parts = null;
        try
        {
            Free("disposing a layer", parts);
        }
        finally
        {
            Disposed?.Invoke(this);
        }
    }

    /// <summary>Calls into the backend; what it throws names its plugin.</summary>
    internal T Call<T>(string doing, Func<T> call) => PluginOwner.Call(_owner, doing, call);

    /// <summary>Frees what is the backend's. What fails at freeing its own does not keep the rest from being freed.</summary>
    internal void Free(string doing, IEnumerable<IDisposable?> parts) => PluginOwner.Free(_owner, doing, parts);

    internal static MoeLayer Create(
        PluginOwner? owner,
        IMoeQuantMethod method,
        MoeLayerShape shape,
        MoeWeightSource weights,
        MoeLayerOptions? options,
        IProgress<double>? progress,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(method);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(weights);

        // A part of a layer is a layer: its own shape, and tensors that read only the part's bytes.
        MoePart part = options?.Part ?? MoePart.Whole;
        MoeLayerShape local = shape.Slice(part);
        MoeLayerConfig config = PluginOwner.Call(owner, "rounding the layer's sizes", () => MoeLayerConfig.Create(local, method, options), cancellationToken);
        MoeWeightSource source = weights.Slice(shape, part);
        return PluginOwner.Call(
            owner,
            "making the layer's weights",
            () =>
            {
                IMoeMemory memory = Require(method.Memory, $"{nameof(IMoeQuantMethod)}.{nameof(IMoeQuantMethod.Memory)}");
                IMoeWeights made = Require(
                    method.CreateWeights(config, source, progress, cancellationToken),
                    $"{nameof(IMoeQuantMethod)}.{nameof(IMoeQuantMethod.CreateWeights)}");
                try
                {
                    return new MoeLayer(owner, method, config, memory, made, shape, hasRouter: source.RouterWeight is not null);
                }
                catch
                {
                    Fault.Ignore(made.Dispose);
                    throw;
                }
            },
            cancellationToken);
    }

    private static ArgumentException OtherLayers(string parameter) => new("The forward state was made by another layer.", parameter);

    private Parts Live => _parts ?? throw new ObjectDisposedException(nameof(MoeLayer));

    internal void Forget(MoeForwardState state)
    {
        lock (_lock)
        {
            _states.Remove(state);
        }
    }

    /// <summary>Marks the layer as unable to run; the first failure counts.</summary>
    internal void Fail(MoeException failure) => Interlocked.CompareExchange(ref _failure, failure, null);

    private void ThrowIfFailed()
    {
        if (Failure is { } failure)
        {
            throw new MoeException(failure.Reason, $"The layer has failed before and runs no more: {failure.Message}", failure);
        }
    }

    // What ranks enqueue does not throw when another one fails: who has waited learns it here.
    private void ThrowIfGroupEnded()
    {
        lock (_lock)
        {
            foreach (MoeForwardState state in _states)
            {
                if (state.Communicator?.Failure is { } failure)
                {
                    Fault fault = Fault.Read(failure);
                    throw new MoeException(fault.Reason, $"The group has ended, and outputs of its forwards are not to be used: {fault.Sentence}", fault.Shown);
                }
            }
        }
    }

    private Exception Explain(Exception exception, Fault fault, string doing)
    {
        Exception explained = _owner?.Wrap(fault, doing) ?? exception;
        if (explained is MoeException failure)
        {
            Note(failure);
        }

        // Without an owner it is thrown as it is; this keeps its stack trace.
        ExceptionDispatchInfo.Throw(explained);
        return explained;
    }

    private void Note(MoeException exception)
    {
        if (exception.Reason == MoeReason.ContextLost)
        {
            // The host tells all layers of the device the same; the first failure counts.
            DeviceLost?.Invoke(this, exception);
            Fail(exception);
        }
    }

    private static T Require<T>(T? value, string member)
        where T : class =>
        value ?? throw new MoeException(MoeReason.ContractBroken, $"{member} returned null.");

    private MoeForwardState MakeState(IMoeCommunicator? communicator)
    {
        IMoeWorkspace workspace = Require(Live.Weights.CreateWorkspace(), $"{nameof(IMoeWeights)}.{nameof(IMoeWeights.CreateWorkspace)}");
        HostPadding? padding = null;
        TokenDispatch? dispatch = null;
        try
        {
            dispatch = Config.Options.DispatchTokens
                ? new TokenDispatch(communicator!, Config, Live.Memory, leavesOut: _whole.Shared is null, routes: _hasRouter && workspace.CanRoute)
                : null;
            padding = new HostPadding(Config, Live.Memory);
            return new MoeForwardState(this, workspace, padding, communicator, dispatch);
        }
        catch
        {
            Fault.Ignore(() => padding?.Dispose());
            Fault.Ignore(() => dispatch?.Dispose());
            Fault.Ignore(workspace.Dispose);
            throw;
        }
    }

    // The other ranks may wait already.
    private static void Abandon(IMoeCommunicator? communicator, string why) => Fault.Ignore(() => communicator?.Abort(why));

    private void Reduce(IMoeCommunicator communicator, in MoePartial partial, in MoeLayerCall call, in MoeTokenExperts experts)
    {
        if (Config.Options.DispatchTokens)
        {
            communicator.ReduceScatter(new MoeReduceArguments { Partial = partial, Output = call.Output, Experts = experts, Stream = call.Stream });
        }
        else if (call.AddNorm is MoeAddNorm addNorm)
        {
            communicator.ReduceAddNorm(new MoeReduceAddNormArguments { Partial = partial, AddNorm = addNorm, Output = call.Output, Stream = call.Stream });
        }
        else
        {
            communicator.AllReduce(new MoeReduceArguments { Partial = partial, Output = call.Output, Stream = call.Stream });
        }
    }

    // What is the plugin's.
    private sealed record Parts(IMoeQuantMethod Method, IMoeMemory Memory, IMoeWeights Weights);
}
