namespace Moe.Plugins.Conformance;

/// <summary>A layer of random weights on the backend that is checked, driven as a host does it: in the contract's order of calls.</summary>
internal sealed class LayerUnderTest : IDisposable
{
    private readonly RandomLayer _random;
    private readonly IMoeWeights _weights;

    private LayerUnderTest(IMoeQuantMethod method, MoeLayerConfig config, RandomLayer random, IMoeWeights weights, MoeDevice device)
    {
        Method = method;
        Config = config;
        _random = random;
        _weights = weights;
        Device = device;
    }

    public IMoeQuantMethod Method { get; }

    public MoeLayerConfig Config { get; }

    public MoeDevice Device { get; }

    public MoeWeightSource Source => _random.Source;

    public long WeightBytes => _weights.ByteCount;

    /// <summary>Asks the backend, rounds, makes the config, loads.</summary>
    public static LayerUnderTest Create(ConformanceSubject subject, MoeLayerShape shape, MoeLayerOptions options, Action<RandomLayer>? edit)
    {
        var request = new MoeProbeRequest { Shape = shape, Device = subject.Device, InputType = options.InputType, OutputType = options.OutputType };
        MoeProbeResult answer = subject.Backend.Probe(request);
        if (!answer.IsSupported)
        {
            throw new MoeException(answer.Reason, answer.Message);
        }

        var random = new RandomLayer(shape, subject.Seed);
        IMoeQuantMethod? method = null;
        try
        {
            edit?.Invoke(random);
            method = subject.Backend.CreateQuantMethod(request with { Device = answer.Device });
            MoeLayerConfig config = MoeLayerConfig.Create(shape, method, options);
            IMoeWeights weights = method.CreateWeights(config, random.Source);
            return new LayerUnderTest(method, config, random, weights, answer.Device);
        }
        catch
        {
            method?.Dispose();
            random.Dispose();
            throw;
        }
    }

    public IMoeWorkspace MakeWorkspace() => Method.CreateWorkspace(Config);

    /// <summary>Random tokens as wide as the model's hidden size, of the config's input type.</summary>
    public HostTensor Input(int tokens, int seed) => Config.Options.InputType == MoeElementType.Float32
        ? Widen(RandomInput.Create(tokens, Config.Shape.HiddenSize, seed))
        : RandomInput.Create(tokens, Config.Shape.HiddenSize, seed);

    /// <summary>The arguments of a forward on tensors that are already on the device.</summary>
    public MoeForwardArguments Arguments(IMoeWorkspace workspace, GuardedTensor input, GuardedTensor routerInput, GuardedTensor output, nint stream) => new()
    {
        Weights = _weights,
        Workspace = workspace,
        Input = input.View,
        RouterInput = routerInput.View,
        Output = output.View,
        Stream = stream,
    };

    /// <summary>The input as the method wants it: as wide as the config says, zeros beyond the model's hidden size.</summary>
    public GuardedTensor Upload(HostTensor input, int width, int gap) => GuardedTensor.CopyOf(Method.Memory, "input", input.View, width, gap);

    public GuardedTensor MakeOutput(int tokens, int gap) =>
        new(Method.Memory, "output", Config.Options.OutputType, tokens, Config.OutputWidth, gap);

    public ForwardResult Forward(IMoeWorkspace workspace, HostTensor input, ForwardOptions options)
    {
        int tokens = input.View.Rows;
        int topK = Config.Shape.TopK;
        IMoeMemory memory = Method.Memory;
        using GuardedTensor routerInput = Upload(input, Config.Shape.HiddenSize, options.InputGap);
        using GuardedTensor? padded = Config.HostPadsInput ? Upload(input, Config.InputWidth, options.InputGap) : null;
        using GuardedTensor output = MakeOutput(tokens, options.OutputGap);
        using GuardedTensor ids = Choice("top-k ids", options.Ids, MoeElementType.Int32);
        using GuardedTensor weights = Choice("top-k weights", options.Weights, MoeElementType.Float32);
        Method.Forward(Arguments(workspace, padded ?? routerInput, routerInput, output, options.Stream) with
        {
            TopKIds = ids.View,
            TopKWeights = weights.View,
            Routing = options.Ids is null ? MoeRoutingSource.Router : MoeRoutingSource.Caller,
        });
        memory.Synchronize(options.Stream);
        return new ForwardResult(
            output.Download(Config.Shape.HiddenSize, out string? outputTrespass),
            ids.Download(topK, out string? idTrespass),
            weights.Download(topK, out string? weightTrespass),
            outputTrespass ?? idTrespass ?? weightTrespass,
            routerInput.Change() ?? padded?.Change());

        GuardedTensor Choice(string name, HostTensor? given, MoeElementType type) => given is null
            ? new GuardedTensor(memory, name, type, tokens, topK, options.OutputGap)
            : GuardedTensor.CopyOf(memory, name, given.View, topK, options.OutputGap);
    }

    public void Dispose()
    {
        _weights.Dispose();
        Method.Dispose();
        _random.Dispose();
    }

    private static unsafe HostTensor Widen(HostTensor bf16)
    {
        using (bf16)
        {
            var wide = new HostTensor(MoeElementType.Float32, bf16.View.Rows, bf16.View.Columns);
            for (int i = 0; i < bf16.View.Rows * bf16.View.Columns; i++)
            {
                ((float*)wide.View.Address)[i] = BitConverter.UInt32BitsToSingle((uint)((ushort*)bf16.View.Address)[i] << 16);
            }

            return wide;
        }
    }
}
