namespace Moe.Plugins.Conformance;

/// <summary>A layer of random weights on the backend that is checked, driven as a host does it: in the contract's order of calls.</summary>
internal sealed class LayerUnderTest : IDisposable
{
    private readonly RandomLayer _random;
    private readonly IMoeWeights _weights;
    private readonly MoeBuffer? _tokenIds;

    private LayerUnderTest(IMoeQuantMethod method, MoeLayerConfig config, RandomLayer random, IMoeWeights weights, MoeDevice device)
    {
        Method = method;
        Config = config;
        _random = random;
        _weights = weights;
        Device = device;
        _tokenIds = config.Shape.Router.Choice == MoeRouterChoice.TokenTable ? MakeTokenIds(config.MaxTokens) : null;
    }

    public IMoeQuantMethod Method { get; }

    public MoeLayerConfig Config { get; }

    public MoeDevice Device { get; }

    public MoeWeightSource Source => _random.Source;

    public long WeightBytes => _weights.ByteCount;

    /// <summary>Asks the backend, rounds, makes the config, loads. Of a part, shape and weights are the whole layer's.</summary>
    public static LayerUnderTest Create(ConformanceSubject subject, MoeLayerShape shape, MoeLayerOptions options, Action<RandomLayer>? edit, MoeRowOrder rowOrder = MoeRowOrder.Interleaved)
    {
        MoeLayerShape local = shape.Slice(options.Part);
        var request = new MoeProbeRequest { Shape = local, Device = subject.Device, InputType = options.InputType, OutputType = options.OutputType };
        MoeProbeResult answer = subject.Backend.Probe(request);
        if (!answer.IsSupported)
        {
            throw new MoeException(answer.Reason, answer.Message);
        }

        var random = new RandomLayer(shape, subject.Seed, rowOrder: rowOrder);
        IMoeQuantMethod? method = null;
        try
        {
            edit?.Invoke(random);
            method = subject.Backend.CreateQuantMethod(request with { Device = answer.Device });
            MoeLayerConfig config = MoeLayerConfig.Create(local, method, options);
            IMoeWeights weights = method.CreateWeights(config, random.Source.Slice(shape, options.Part));
            return new LayerUnderTest(method, config, random, weights, answer.Device);
        }
        catch
        {
            method?.Dispose();
            random.Dispose();
            throw;
        }
    }

    public IMoeWorkspace MakeWorkspace() => _weights.CreateWorkspace();

    /// <summary>The oracle's result for tokens of this layer, with the ids that the forwards are given; of a part, that of the <paramref name="whole"/>.</summary>
    public OracleResult Oracle(
        MoeBuffer input, OracleOptions? options = null, MoeLayerShape? whole = null, CancellationToken cancellationToken = default) => MoeOracle.Compute(
        whole ?? Config.Shape,
        Source,
        input.View,
        (options ?? new OracleOptions()) with { TokenIds = _tokenIds is null ? default : _tokenIds.View.FirstRows(input.View.Rows) },
        cancellationToken);

    /// <summary>Random tokens as wide as the model's hidden size, of the config's input type.</summary>
    public MoeBuffer Input(int tokens, int seed) => Config.Options.InputType == MoeElementType.Float32
        ? Widen(RandomInput.Create(tokens, Config.Shape.HiddenSize, seed))
        : RandomInput.Create(tokens, Config.Shape.HiddenSize, seed);

    /// <summary>The arguments of a forward on tensors that are already on the device.</summary>
    public static MoeForwardArguments Arguments(GuardedTensor input, GuardedTensor routerInput, GuardedTensor output, GuardedTensor? tokenIds, nint stream) => new()
    {
        Input = input.View,
        RouterInput = routerInput.View,
        Output = output.View,
        TokenIds = tokenIds?.View ?? default,
        Stream = stream,
    };

    /// <summary>The input as the method wants it: as wide as the config says, zeros beyond the model's hidden size.</summary>
    public GuardedTensor Upload(MoeBuffer input, int width, int gap) => GuardedTensor.CopyOf(Method.Memory, "input", input.View, width, gap);

    /// <summary>The tokens' ids on the device; null where the layer's router does not ask for them.</summary>
    public GuardedTensor? UploadTokenIds(int tokens) => _tokenIds is null
        ? null
        : GuardedTensor.CopyOf(Method.Memory, "token ids", _tokenIds.View.FirstRows(tokens), 1, 0);

    public GuardedTensor MakeOutput(int tokens, int gap) =>
        new(Method.Memory, "output", Config.Options.OutputType, tokens, Config.OutputWidth, gap);

    public ForwardResult Forward(IMoeWorkspace workspace, MoeBuffer input, ForwardOptions options)
    {
        int tokens = input.View.Rows;
        int topK = Config.Shape.TopK;
        IMoeMemory memory = Method.Memory;
        using GuardedTensor routerInput = Upload(input, Config.Shape.HiddenSize, options.InputGap);
        using GuardedTensor? padded = Config.HostPadsInput ? Upload(input, Config.InputWidth, options.InputGap) : null;
        using GuardedTensor output = MakeOutput(tokens, options.OutputGap);
        using GuardedTensor ids = Choice("top-k ids", options.Ids, MoeElementType.Int32);
        using GuardedTensor weights = Choice("top-k weights", options.Weights, MoeElementType.Float32);
        using GuardedTensor? tokenIds = UploadTokenIds(tokens);
        workspace.Forward(Arguments(padded ?? routerInput, routerInput, output, tokenIds, options.Stream) with
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

        GuardedTensor Choice(string name, MoeBuffer? given, MoeElementType type) => given is null
            ? new GuardedTensor(memory, name, type, tokens, topK, options.OutputGap)
            : GuardedTensor.CopyOf(memory, name, given.View, topK, options.OutputGap);
    }

    /// <summary>Routes a batch without a forward.</summary>
    /// <returns>How what it writes differs from what a forward has written; null where it does not.</returns>
    public string? RouteOtherwise(IMoeWorkspace workspace, MoeBuffer input, ForwardResult expected)
    {
        const int Gap = 1;
        int tokens = input.View.Rows;
        int topK = Config.Shape.TopK;
        using GuardedTensor routerInput = Upload(input, Config.Shape.HiddenSize, Gap);
        using var ids = new GuardedTensor(Method.Memory, "top-k ids", MoeElementType.Int32, tokens, topK, Gap);
        using var weights = new GuardedTensor(Method.Memory, "top-k weights", MoeElementType.Float32, tokens, topK, Gap);
        using GuardedTensor? tokenIds = UploadTokenIds(tokens);
        workspace.Route(new MoeRouteArguments { Input = routerInput.View, TopKIds = ids.View, TopKWeights = weights.View, TokenIds = tokenIds?.View ?? default });
        Method.Memory.Synchronize(0);
        using MoeBuffer foundIds = ids.Download(topK, out string? idTrespass);
        using MoeBuffer foundWeights = weights.Download(topK, out string? weightTrespass);
        return !Bytes(foundIds).SequenceEqual(Bytes(expected.Ids)) ? "other ids"
            : !Bytes(foundWeights).SequenceEqual(Bytes(expected.Weights)) ? "other weights"
            : idTrespass ?? weightTrespass ?? routerInput.Change();

        static byte[] Bytes(MoeBuffer buffer)
        {
            byte[] bytes = new byte[buffer.ByteCount];
            buffer.CopyToBytes(bytes);
            return bytes;
        }
    }

    public void Dispose()
    {
        _weights.Dispose();
        Method.Dispose();
        _random.Dispose();
        _tokenIds?.Dispose();
    }

    private static MoeBuffer MakeTokenIds(int tokens)
    {
        MoeBuffer ids = MoeBuffer.OnHost(MoeElementType.Int32, tokens, 1);
        ids.CopyFrom([.. Enumerable.Range(0, tokens).Select(token => (token * 7 + 3) % RandomLayer.VocabularySize)]);
        return ids;
    }

    private static MoeBuffer Widen(MoeBuffer bf16)
    {
        using (bf16)
        {
            MoeBuffer wide = MoeBuffer.OnHost(MoeElementType.Float32, bf16.View.Rows, bf16.View.Columns);
            wide.CopyFrom(bf16.ToSingles());
            return wide;
        }
    }
}
