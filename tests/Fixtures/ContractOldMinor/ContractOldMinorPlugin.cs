using Moe.Plugins;

[assembly: MoePlugin("ContractOldMinor", typeof(Fixtures.ContractOldMinorPlugin), "2.0")]

namespace Fixtures;

/// <summary>A backend of the first version of contract 2, compiled against a contract without the members that came later.</summary>
public sealed class ContractOldMinorPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new Backend();

    private sealed class Backend : IMoeBackend
    {
        public MoeProbeResult Probe(MoeProbeRequest request) => MoeProbeResult.Supported(MoeDevice.Cpu, "fixture", 10, "It knows nothing new");

        public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => new Method();

        public ValueTask DisposeAsync() => default;
    }

    /// <summary>Pads to 8, and adds a row's values up.</summary>
    private sealed unsafe class Method : IMoeQuantMethod, IMoeWeights, IMoeWorkspace
    {
        public MoeNumerics Numerics { get; } = new() { RelativeError = 0, Description = "sums" };

        public IMoeMemory Memory { get; } = new WorkingMemory(fault: "");

        public long ByteCount => 0;

        // Of this class alone: the contract that it was compiled against has no such member, and the host's default body counts.
        public bool SupportsSkipForwardPadding => true;

        public bool HasUnpaddedOutput => true;

        public double RoundingError => 1;

        public int RoundUpHiddenSize(int hiddenSize) => (hiddenSize + 7) / 8 * 8;

        public int RoundUpIntermediateSize(int intermediateSize) => (intermediateSize + 7) / 8 * 8;

        public IMoeWeights CreateWeights(
            MoeLayerConfig config,
            MoeWeightSource source,
            IProgress<double>? progress = null,
            CancellationToken cancellationToken = default) => this;

        public IMoeWorkspace CreateWorkspace() => this;

        public void Forward(MoeForwardArguments arguments)
        {
            for (int row = 0; row < arguments.Output.Rows; row++)
            {
                float sum = 0;
                foreach (float value in new ReadOnlySpan<float>((void*)arguments.Input.RowAddress(row), arguments.Input.Columns))
                {
                    sum += value;
                }

                new Span<float>((void*)arguments.Output.RowAddress(row), arguments.Output.Columns).Fill(sum);
            }
        }

        public void Dispose()
        {
        }
    }
}
