using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Copies a checkpoint's experts to the device: BF16 as they are, MXFP4 widened there, NVFP4 exactly beside its factors, everything else rounded to BF16 on the way.</summary>
internal sealed class Bf16Loader : DeviceArena
{
    private const int Threads = 256;

    private static readonly KernelUnit Source = new("bf16_load.cu");

    private readonly CudaFunction _widen;
    private readonly ExpertStaging _staging;
    private readonly MoeWeightFormat _format;
    private readonly int _experts;
    private readonly Lock _lock = new();

    /// <summary>Makes a loader.</summary>
    /// <param name="library">The backend's kernels; its context must be current.</param>
    /// <param name="format">How the checkpoint stores the weights.</param>
    /// <param name="experts">Experts of a matrix.</param>
    /// <param name="largest">The most values of an expert's matrix.</param>
    public Bf16Loader(KernelLibrary library, MoeWeightFormat format, int experts, long largest)
        : base(library.Context)
    {
        _widen = library.Get(Source, "bf16_load_widen");
        _format = format;
        _experts = experts;
        _staging = Add(new ExpertStaging(library.Context, experts, largest * sizeof(ushort)));
    }

    public static KernelUnit Unit => Source;

    /// <summary>What rounding to BF16 has cost so far.</summary>
    public MoeRoundingSums Rounding { get; private set; }

    /// <summary>Loads all experts of a matrix.</summary>
    public void Load(Bf16Matrix target, MoeExpertMatrix source, Action<int> progress, CancellationToken cancellationToken)
    {
        var reader = new MoeExpertReader(source, _format, target.Rows, target.Inputs);
        target.LoadBias(reader, _experts);
        if (_format == MoeWeightFormat.Mxfp4)
        {
            _staging.LoadMxfp4(
                _experts,
                reader,
                (expert, codes, scales) => Widen(target, expert, codes, scales, reader.ScaleBytes),
                progress,
                cancellationToken);
            return;
        }

        long bytes = (long)target.Rows * target.Inputs * sizeof(ushort);
        float[]? factors = reader.HasFactors ? new float[(long)_experts * target.Rows] : null;
        _staging.Load(
            _experts,
            bytes,
            (expert, host) => Read(reader, expert, host, factors is null ? [] : factors.AsSpan(expert * target.Rows, target.Rows)),
            (expert, device) => CudaMemory.Copy(target.Expert(expert), device, bytes, 0),
            progress,
            cancellationToken);
        if (factors is not null)
        {
            target.LoadFactors(factors);
        }
    }

    private unsafe void Read(MoeExpertReader reader, int expert, nint host, Span<float> factors)
    {
        if (factors.IsEmpty)
        {
            Add(reader.ReadBFloat16(expert, host));
            return;
        }

        fixed (float* start = factors)
        {
            reader.ReadBFloat16(expert, host, (nint)start);
        }
    }

    private void Add(MoeRoundingSums sums)
    {
        lock (_lock)
        {
            Rounding += sums;
        }
    }

    private void Widen(Bf16Matrix target, int expert, nint codes, nint scales, long blocks)
    {
        var parameters = new WidenParameters { Blocks = codes, Scales = scales, Out = target.Expert(expert), Count = blocks };
        _widen.Launch(new CudaLaunchConfig(checked((int)((blocks + Threads - 1) / Threads)), Threads), 0, in parameters);
    }

    /// <summary>As in <c>bf16_load.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct WidenParameters
    {
        public nint Blocks;
        public nint Scales;
        public nint Out;
        public long Count;
    }
}
