using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Brings a checkpoint's experts to the device: BF16 as they are, MXFP4 widened there, NVFP4 exactly beside its factors, everything else rounded to BF16 on the way.</summary>
/// <param name="library">The backend's kernels; its context must be current.</param>
/// <param name="format">How the checkpoint stores the weights.</param>
internal sealed class Bf16Loader(KernelLibrary library, MoeWeightFormat format)
{
    private const int Threads = 256;

    private static readonly KernelUnit Source = new("bf16_load.cu");

    private readonly CudaFunction _widen = library.Get(Source, "bf16_load_widen");
    private readonly Lock _lock = new();

    public static KernelUnit Unit => Source;

    /// <summary>What rounding to BF16 has cost so far.</summary>
    public MoeRoundingSums Rounding { get; private set; }

    /// <summary>Loads matrices of all experts.</summary>
    /// <param name="matrices">Where to, and the checkpoint's tensors.</param>
    /// <param name="progress">Told the share that is loaded; may be null.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    public void Load(IReadOnlyList<(Bf16Matrix Target, MoeExpertMatrix Source)> matrices, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        var factors = new List<(Bf16Matrix Target, float[] Values)>();
        library.Lanes.Load([.. matrices.SelectMany(matrix => Pieces(matrix.Target, matrix.Source, factors))], progress, cancellationToken);
        foreach ((Bf16Matrix target, float[] values) in factors)
        {
            target.LoadFactors(values);
        }
    }

    private IEnumerable<WeightPiece> Pieces(Bf16Matrix target, MoeExpertMatrix source, List<(Bf16Matrix Target, float[] Values)> factors)
    {
        var reader = new MoeExpertReader(source, format, target.Rows, target.Inputs);
        nint bias = target.AllocateBias(reader);
        if (format == MoeWeightFormat.Mxfp4)
        {
            return ExpertPieces.Mxfp4(
                reader, target.Experts, bias, (expert, codes, scales, stream) => Widen(target, expert, codes, scales, reader.ScaleBytes, stream));
        }

        float[]? own = reader.HasFactors ? new float[(long)target.Experts * target.Rows] : null;
        if (own is not null)
        {
            factors.Add((target, own));
        }

        return ExpertPieces.Of(
            reader,
            target.Experts,
            bias,
            target.ExpertBytes,
            (expert, host) => Read(reader, expert, host, own is null ? [] : own.AsSpan(expert * target.Rows, target.Rows)),
            (expert, device, stream) => CudaMemory.Copy(target.Expert(expert), device, target.ExpertBytes, stream));
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

    private void Widen(Bf16Matrix target, int expert, nint codes, nint scales, long blocks, nint stream)
    {
        var parameters = new WidenParameters { Blocks = codes, Scales = scales, Out = target.Expert(expert), Count = blocks };
        _widen.Launch(new CudaLaunchConfig(checked((int)((blocks + Threads - 1) / Threads)), Threads), stream, in parameters);
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
