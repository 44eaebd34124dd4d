namespace Moe.Plugins.Tests;

/// <summary>
/// A method that doubles its input, writes rubbish into the padding lanes of its output, and keeps what it was handed. It says nothing
/// of capabilities: <see cref="SkippingMethod"/> does.
/// </summary>
internal class RecordingMethod(HostMemory memory) : IMoeQuantMethod
{
    public Exception? Fails { get; init; }

    public int ForwardCount { get; private set; }

    public bool IsDisposed { get; private set; }

    public MoeForwardArguments Last { get; private set; }

    /// <summary>Runs inside of a forward.</summary>
    public Action? DuringForward { get; init; }

    /// <summary>Whether it routes without a forward.</summary>
    public bool CanRoute { get; init; }

    /// <summary>Runs inside of a routing without a forward.</summary>
    public Action<MoeRouteArguments>? DuringRoute { get; init; }

    /// <summary>Runs while a workspace is made.</summary>
    public Action? DuringWorkspace { get; init; }

    /// <summary>Runs while the weights are made.</summary>
    public Action? DuringWeights { get; init; }

    public MoeNumerics Numerics { get; } = new() { RelativeError = 0, Description = "doubles" };

    public IMoeMemory Memory => memory;

    public int RoundUpHiddenSize(int hiddenSize) => (hiddenSize + 7) / 8 * 8;

    public int RoundUpIntermediateSize(int intermediateSize) => (intermediateSize + 3) / 4 * 4;

    public IMoeWeights CreateWeights(
        MoeLayerConfig config,
        MoeWeightSource source,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        DuringWeights?.Invoke();
        return Fails is null ? new Block(this, memory, 1000) : throw Fails;
    }

    private void Forward(MoeForwardArguments arguments)
    {
        Last = arguments;
        ForwardCount++;
        DuringForward?.Invoke();
        for (int row = 0; row < arguments.Output.Rows; row++)
        {
            float sum = 0;
            for (int column = 0; column < arguments.Input.Columns; column++)
            {
                sum += Floats.At(arguments.Input, row, column);
            }

            for (int column = 0; column < arguments.Output.Columns; column++)
            {
                Floats.Set(arguments.Output, row, column, column < arguments.RouterInput.Columns ? sum : float.NaN);
            }
        }
    }

    public void Dispose() => IsDisposed = true;

    private sealed class Block(RecordingMethod method, HostMemory memory, long bytes) : IMoeWeights, IMoeWorkspace
    {
        private readonly nint _address = memory.Allocate(bytes);

        public long ByteCount => bytes;

        public IMoeWorkspace CreateWorkspace()
        {
            method.DuringWorkspace?.Invoke();
            return new Block(method, memory, 10);
        }

        public bool CanRoute => method.CanRoute;

        public void Forward(MoeForwardArguments arguments) => method.Forward(arguments);

        public void Route(MoeRouteArguments arguments) => method.DuringRoute?.Invoke(arguments);

        public void Dispose() => memory.Free(_address);
    }
}
