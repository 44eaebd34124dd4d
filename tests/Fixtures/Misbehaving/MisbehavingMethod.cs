using System.Runtime.InteropServices;
using Moe.Plugins;

namespace Fixtures;

/// <summary>Writes zeros, or does what its mode says.</summary>
internal sealed unsafe class MisbehavingMethod(Mode mode) : IMoeQuantMethod
{
    private bool _hasFailed;
    private bool _isAtWeights;

    public MoeNumerics Numerics => mode.At("numerics") == "null" ? null! : new MoeNumerics { RelativeError = double.NaN, Description = "" };

    public IMoeMemory Memory
    {
        get
        {
            mode.Throw("memory");
            return mode.At("memory") == "null" ? null! : new Host(mode);
        }
    }

    // Then the host allocates, copies and frees in the backend's memory.
    private bool IsPadded => mode.Place is "allocate" or "free" or "copy" or "zero" or "wait" or "device" || mode.At("memory") == "nowhere";

    public bool SupportsSkipForwardPadding
    {
        get
        {
            mode.Throw("capability");
            return mode.At("capability") != "pad" && !IsPadded;
        }
    }

    public bool HasUnpaddedOutput => mode.At("capability") != "pad";

    public int RoundUpHiddenSize(int hiddenSize)
    {
        mode.Throw("round");
        return mode.At("round") switch
        {
            "negative" => -hiddenSize,
            "zero" => 0,
            "least" => int.MinValue,
            "most" => int.MaxValue,
            "drift" => hiddenSize + 1,
            "far" => (hiddenSize + 65535) / 65536 * 65536,
            _ => IsPadded ? (hiddenSize + 7) / 8 * 8 : hiddenSize,
        };
    }

    public int RoundUpIntermediateSize(int intermediateSize) => mode.At("round") == "most2" ? int.MaxValue : intermediateSize;

    public IMoeWeights CreateWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        _isAtWeights = true;
        mode.Throw("weights");
        progress?.Report(double.NaN);
        return mode.At("weights") == "null" ? null! : new Nothing(this, mode, "weights");
    }

    private Nothing CreateWorkspace()
    {
        mode.Throw("workspace");
        return mode.At("workspace") == "null" ? null! : new Nothing(this, mode, "workspace");
    }

    private void Forward(MoeForwardArguments arguments)
    {
        // Once, so that a test can see what is still usable.
        if (!_hasFailed)
        {
            _hasFailed = true;
            mode.Throw("forward");
        }

        for (int row = 0; row < arguments.Output.Rows; row++)
        {
            new Span<byte>((void*)arguments.Output.RowAddress(row), (int)arguments.Output.RowBytes).Clear();
        }
    }

    public void Dispose()
    {
        mode.Throw("end");
        if (_isAtWeights && mode.At("weights") == "throw")
        {
            throw new InvalidOperationException("thrown by Dispose, after the weights could not be made");
        }
    }

    private sealed class Nothing(MisbehavingMethod method, Mode mode, string what) : IMoeWeights, IMoeWorkspace
    {
        public long ByteCount
        {
            get
            {
                mode.Throw(what + "-size");
                return mode.At(what + "-size") switch { "negative" => -1, "most" => long.MaxValue, _ => 0 };
            }
        }

        public string? Remark
        {
            get
            {
                mode.Throw("remark");
                return mode.At("remark") switch { "escape" => "\u001b[2J\u202eright", "huge" => new string('r', 5_000_000), _ => null };
            }
        }

        public IMoeWorkspace CreateWorkspace() => method.CreateWorkspace();

        public void Forward(MoeForwardArguments arguments) => method.Forward(arguments);

        public void Dispose() => mode.Throw(what + "-end");

        public override bool Equals(object? obj) => mode.At("equals") == "throw" ? throw new UnreadableException() : ReferenceEquals(this, obj);

        public override int GetHashCode() => mode.At("equals") == "throw" ? throw new UnreadableException() : base.GetHashCode();
    }

    private sealed class Host(Mode mode) : IMoeMemory
    {
        public MoeDevice Device
        {
            get
            {
                mode.Throw("device");
                return MoeDevice.Cpu;
            }
        }

        public nint Allocate(long byteCount)
        {
            mode.Throw("allocate");
            return mode.At("memory") == "nowhere" ? 0 : (nint)NativeMemory.AlignedAlloc((nuint)byteCount, 256);
        }

        public void Free(nint address)
        {
            NativeMemory.AlignedFree((void*)address);
            mode.Throw("free");
        }

        public void CopyIn(nint destination, nint hostSource, long byteCount, nint stream)
        {
            mode.Throw("copy");
            NativeMemory.Copy((void*)hostSource, (void*)destination, (nuint)byteCount);
        }

        public void CopyOut(nint hostDestination, nint source, long byteCount, nint stream) => CopyIn(hostDestination, source, byteCount, stream);

        public void Copy2D(nint destination, long destinationStride, nint source, long sourceStride, long rowBytes, int rows, nint stream)
        {
            for (int row = 0; row < rows; row++)
            {
                CopyIn(destination + (nint)(row * destinationStride), source + (nint)(row * sourceStride), rowBytes, stream);
            }
        }

        public void Zero(nint address, long byteCount, nint stream)
        {
            mode.Throw("zero");
            NativeMemory.Clear((void*)address, (nuint)byteCount);
        }

        public void Synchronize(nint stream) => mode.Throw("wait");

        public override bool Equals(object? obj) => mode.At("equals") == "throw" ? throw new UnreadableException() : ReferenceEquals(this, obj);

        public override int GetHashCode() => mode.At("equals") == "throw" ? throw new UnreadableException() : base.GetHashCode();
    }
}
