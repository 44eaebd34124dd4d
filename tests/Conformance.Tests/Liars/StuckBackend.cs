using Microsoft.Extensions.Time.Testing;

namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>A correct backend whose forward, or whose groups' first rank, never returns: when it gets there, the clock goes on by an hour.</summary>
/// <param name="clock">The clock of the check.</param>
/// <param name="isStuck">Whether a forward is stuck, by its tokens; false for all where only groups are.</param>
internal sealed class StuckBackend(FakeTimeProvider clock, Func<int, bool> isStuck) : IMoeBackend, IMoeParallelBackend, IDisposable
{
    private readonly LyingBackend _layers = new(Lie.None);
    private readonly LyingGroupBackend _groups = new(GroupLie.None);
    private readonly ManualResetEventSlim _end = new();

    public bool IsDisposed { get; private set; }

    public MoeProbeResult Probe(MoeProbeRequest request) => _layers.Probe(request);

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => new Method(this, _layers.CreateQuantMethod(request));

    public MoeProbeResult ProbeGroup(MoeGroupRequest request) => _groups.ProbeGroup(request);

    public IMoeGroup CreateGroup(MoeGroupRequest request)
    {
        Stick();
        return _groups.CreateGroup(request);
    }

    public ValueTask DisposeAsync()
    {
        IsDisposed = true;
        return ValueTask.CompletedTask;
    }

    /// <summary>Lets go what is stuck.</summary>
    public void Dispose() => _end.Set();

    private void Stick()
    {
        clock.Advance(TimeSpan.FromHours(1));
        _end.Wait();
    }

    private sealed class Method(StuckBackend backend, IMoeQuantMethod inner) : IMoeQuantMethod
    {
        public MoeNumerics Numerics => inner.Numerics;

        public IMoeMemory Memory => inner.Memory;

        public bool SupportsSkipForwardPadding => inner.SupportsSkipForwardPadding;

        public bool HasUnpaddedOutput => inner.HasUnpaddedOutput;

        public int RoundUpHiddenSize(int hiddenSize) => inner.RoundUpHiddenSize(hiddenSize);

        public int RoundUpIntermediateSize(int intermediateSize) => inner.RoundUpIntermediateSize(intermediateSize);

        public IMoeWeights CreateWeights(MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
            new Weights(backend, inner.CreateWeights(config, source, progress, cancellationToken));

        public void Dispose() => inner.Dispose();
    }

    private sealed class Weights(StuckBackend backend, IMoeWeights inner) : IMoeWeights
    {
        public long ByteCount => inner.ByteCount;

        public IMoeWorkspace CreateWorkspace() => new Workspace(backend, inner.CreateWorkspace());

        public void Dispose() => inner.Dispose();
    }

    private sealed class Workspace(StuckBackend backend, IMoeWorkspace inner) : IMoeWorkspace
    {
        public long ByteCount => inner.ByteCount;

        public void Forward(MoeForwardArguments arguments)
        {
            if (backend.IsStuck(arguments.Input.Rows))
            {
                backend.Stick();
            }

            inner.Forward(arguments);
        }

        public void Dispose() => inner.Dispose();
    }

    private bool IsStuck(int tokens) => isStuck(tokens);
}
