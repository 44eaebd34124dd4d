namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>A backend that runs any layer by the float64 oracle, but takes it for another: what a mistake with a family's options comes to.</summary>
/// <param name="alteration">The layer that it takes a layer for; null for the layer itself.</param>
internal sealed class AlteredBackend(Func<MoeLayerShape, MoeWeightSource, (MoeLayerShape Shape, MoeWeightSource Source)>? alteration) : IMoeBackend
{
    public MoeProbeResult Probe(MoeProbeRequest request) => request.Device is null || request.Device == MoeDevice.Cpu
        ? MoeProbeResult.Supported(MoeDevice.Cpu, "a processor", 1)
        : MoeProbeResult.Unsupported(MoeReason.NoDevice, "it runs only on the CPU");

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => new Method(alteration);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private sealed class Method(Func<MoeLayerShape, MoeWeightSource, (MoeLayerShape Shape, MoeWeightSource Source)>? alteration) : IMoeQuantMethod
    {
        public MoeNumerics Numerics { get; } = new() { RelativeError = 4e-3, Description = "float64, rounded to BF16", IsDeterministic = true };

        public IMoeMemory Memory => MoeHostMemory.Instance;

        public bool SupportsSkipForwardPadding => true;

        public bool HasUnpaddedOutput => true;

        public int RoundUpHiddenSize(int hiddenSize) => hiddenSize;

        public int RoundUpIntermediateSize(int intermediateSize) => intermediateSize;

        // The kit's tensors stay where they are as long as the layer does.
        public IMoeWeights CreateWeights(MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken)
        {
            (MoeLayerShape shape, MoeWeightSource weights) = alteration?.Invoke(config.Shape, source) ?? (config.Shape, source);
            return new Layer(shape, weights);
        }

        public void Dispose()
        {
        }
    }

    private sealed class Layer(MoeLayerShape shape, MoeWeightSource source) : IMoeWeights, IMoeWorkspace
    {
        public long ByteCount => source.ByteCount;

        public IMoeWorkspace CreateWorkspace() => this;

        public unsafe void Forward(MoeForwardArguments arguments)
        {
            bool isCaller = arguments.Routing == MoeRoutingSource.Caller;
            OracleResult result = MoeOracle.Compute(shape, source, arguments.Input, new OracleOptions
            {
                TokenIds = arguments.TokenIds,
                TopKIds = isCaller ? arguments.TopKIds : default,
                TopKWeights = isCaller ? arguments.TopKWeights : default,
            });
            for (int token = 0; token < arguments.Input.Rows; token++)
            {
                ReadOnlySpan<double> values = result.Output(token).Span;
                for (int i = 0; i < values.Length; i++)
                {
                    ((ushort*)arguments.Output.RowAddress(token))[i] = MoeBFloat16.FromSingle((float)values[i]);
                }

                result.Routing.Ids(token).Span.CopyTo(new Span<int>((void*)arguments.TopKIds.RowAddress(token), shape.TopK));
            }
        }

        public void Dispose()
        {
        }
    }
}
