using System.Runtime.InteropServices;

namespace Moe.Plugins.Micro;

/// <summary>A method whose work costs nothing: what is left of a forward is the host's.</summary>
/// <param name="alignment">What it pads to.</param>
/// <param name="skips">Whether it takes and writes unpadded rows, so that the host need not pad and slice.</param>
internal sealed unsafe class IdleMethod(int alignment, bool skips) : IMoeQuantMethod, IMoeMemory
{
    public bool SupportsSkipForwardPadding => skips;

    public bool HasUnpaddedOutput => skips;

    public MoeNumerics Numerics { get; } = new() { RelativeError = 0, Description = "computes nothing" };

    public IMoeMemory Memory => this;

    public MoeDevice Device => MoeDevice.Cpu;

    public int RoundUpHiddenSize(int hiddenSize) => (hiddenSize + alignment - 1) / alignment * alignment;

    public int RoundUpIntermediateSize(int intermediateSize) => RoundUpHiddenSize(intermediateSize);

    public IMoeWeights CreateWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) => new Nothing();

    private static void Forward(MoeForwardArguments arguments)
    {
    }

    public nint Allocate(long byteCount) => (nint)NativeMemory.AlignedAlloc((nuint)byteCount, 256);

    public void Free(nint address) => NativeMemory.AlignedFree((void*)address);

    // A GPU's copies are enqueued, and cost the host the call.
    public void CopyIn(nint destination, nint hostSource, long byteCount, nint stream)
    {
    }

    public void CopyOut(nint hostDestination, nint source, long byteCount, nint stream)
    {
    }

    public void Copy2D(nint destination, long destinationStride, nint source, long sourceStride, long rowBytes, int rows, nint stream)
    {
    }

    public void Zero(nint address, long byteCount, nint stream)
    {
    }

    public void Synchronize(nint stream)
    {
    }

    public void Dispose()
    {
    }

    private sealed class Nothing : IMoeWeights, IMoeWorkspace
    {
        public long ByteCount => 0;

        public IMoeWorkspace CreateWorkspace() => this;

        public void Forward(MoeForwardArguments arguments) => IdleMethod.Forward(arguments);

        public void Dispose()
        {
        }
    }
}
