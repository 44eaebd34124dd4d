using System.Runtime.InteropServices;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli.Tests;

/// <summary>Runs a layer by the float64 oracle, on tensors that live as long as the test.</summary>
internal sealed unsafe class FakeMethod(FakeBackend backend) : IMoeQuantMethod, IMoeMemory
{
    public MoeNumerics Numerics { get; } = new() { RelativeError = 4e-3, Description = "float64, output rounded to BF16" };

    public IMoeMemory Memory => this;

    public MoeDevice Device => backend.Device;

    public double RoundingError => backend.RoundingError;

    public bool SupportsSkipForwardPadding => backend.Alignment > 1;

    public bool HasUnpaddedOutput => backend.Alignment > 1;

    public int RoundUpHiddenSize(int hiddenSize) => (hiddenSize + backend.Alignment - 1) / backend.Alignment * backend.Alignment;

    public int RoundUpIntermediateSize(int intermediateSize) => intermediateSize;

    public IMoeWeights CreateWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress = null, CancellationToken cancellationToken = default) =>
        backend.IsFull ? throw new MoeException(MoeReason.OutOfMemory, "the fake device is full") : new Weights(this, config, source);

    private void Forward(Weights block, in MoeForwardArguments arguments)
    {
        if (backend.WritesNothing)
        {
            return;
        }

        MoeTensorView input = arguments.Input.FirstColumns(block.Config.Shape.HiddenSize);
        OracleResult result = MoeOracle.Compute(block.Config.Shape, block.Source, OnHost(input));
        bool isWide = backend.MindsPadding && arguments.Output.Columns > input.Columns;
        for (int token = 0; token < arguments.Input.Rows; token++)
        {
            bool isOff = token == arguments.Input.Rows - 1 && backend.Replay >= backend.FirstWrongReplay;
            Span<ushort> output = BFloat16.Row(arguments.Output, token);
            ReadOnlySpan<double> values = result.Output(token).Span;
            for (int i = 0; i < values.Length; i++)
            {
                output[i] = MoeBFloat16.FromSingle((float)(values[i] * (isOff ? backend.LastTokenFactor : 1)));
                output[i] ^= (ushort)(isWide ? 1 : 0);
            }

            var ids = new Span<int>((void*)arguments.TopKIds.RowAddress(token), arguments.TopKIds.Columns);
            result.Routing.Ids(token).Span.CopyTo(ids);
            for (int k = 0; k < ids.Length && backend.Misroutes; k++)
            {
                ids[k] = k;
            }
        }
    }

    private static MoeTensorView OnHost(MoeTensorView view) =>
        new(view.Address, MoeDevice.Cpu, view.ElementType, view.Rows, view.Columns, view.RowStride);

    public nint Allocate(long byteCount) => (nint)NativeMemory.AlignedAlloc((nuint)byteCount, 256);

    public void Free(nint address) => NativeMemory.AlignedFree((void*)address);

    public void CopyIn(nint destination, nint hostSource, long byteCount, nint stream) => NativeMemory.Copy((void*)hostSource, (void*)destination, (nuint)byteCount);

    public void CopyOut(nint hostDestination, nint source, long byteCount, nint stream) => CopyIn(hostDestination, source, byteCount, stream);

    public void Copy2D(nint destination, long destinationStride, nint source, long sourceStride, long rowBytes, int rows, nint stream)
    {
        backend.Copies++;
        for (int row = 0; row < rows; row++)
        {
            CopyIn((nint)(destination + (row * destinationStride)), (nint)(source + (row * sourceStride)), rowBytes, stream);
        }
    }

    public void Zero(nint address, long byteCount, nint stream) => NativeMemory.Clear((void*)address, (nuint)byteCount);

    public void Synchronize(nint stream)
    {
    }

    public void Dispose()
    {
    }

    private sealed class Weights(FakeMethod method, MoeLayerConfig config, MoeWeightSource source) : IMoeWeights
    {
        public MoeLayerConfig Config => config;

        public MoeWeightSource Source => source;

        public long ByteCount => 1000;

        public double RoundingError => method.RoundingError;

        public IMoeWorkspace CreateWorkspace() => new Workspace(method, this);

        public void Dispose()
        {
        }
    }

    private sealed class Workspace(FakeMethod method, Weights weights) : IMoeWorkspace
    {
        public long ByteCount => 10;

        public void Forward(MoeForwardArguments arguments) => method.Forward(weights, arguments);

        public void Dispose()
        {
        }
    }
}
