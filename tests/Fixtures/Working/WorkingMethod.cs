using Moe.Plugins;

namespace Fixtures;

/// <summary>Writes one number everywhere, or fails in the way that its setting names.</summary>
internal sealed unsafe class WorkingMethod(float answer, string fault) : IMoeQuantMethod
{
    public MoeNumerics Numerics { get; } = new() { RelativeError = 0, Description = "one number" };

    public IMoeMemory Memory { get; } = new WorkingMemory(fault);

    public bool SupportsSkipForwardPadding => true;

    public bool HasUnpaddedOutput => true;

    public int RoundUpHiddenSize(int hiddenSize) => hiddenSize;

    public int RoundUpIntermediateSize(int intermediateSize) => intermediateSize;

    public IMoeWeights CreateWeights(
        MoeLayerConfig config,
        MoeWeightSource source,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default) => new Nothing(this);

    private void Forward(MoeForwardArguments arguments)
    {
        if (fault.Length != 0 && arguments.Input.Rows > 1)
        {
            throw fault switch
            {
                "lost" => new MoeException(MoeReason.ContextLost, "the fixture's device is gone"),
                "memory" => new MoeException(MoeReason.OutOfMemory, "the fixture is out of memory"),
                _ => new InvalidOperationException("the fixture's kernel is broken"),
            };
        }

        for (int row = 0; row < arguments.Output.Rows; row++)
        {
            new Span<float>((void*)arguments.Output.RowAddress(row), arguments.Output.Columns).Fill(answer);
        }
    }

    public void Dispose()
    {
    }

    private sealed class Nothing(WorkingMethod method) : IMoeWeights, IMoeWorkspace
    {
        public long ByteCount => 0;

        public IMoeWorkspace CreateWorkspace() => this;

        public void Forward(MoeForwardArguments arguments) => method.Forward(arguments);

        public void Dispose()
        {
        }
    }
}
