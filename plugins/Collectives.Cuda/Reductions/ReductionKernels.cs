using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Collectives;

/// <summary>A device's kernels for a group's ranks and rows.</summary>
internal sealed class ReductionKernels
{
    /// <summary>As in <c>group.cuh</c>.</summary>
    public const int MostBlocks = 512;

    private const int GatherThreads = 512;
    private const int WidenedValues = 8;
    private const int WidenBlocks = 4;

    /// <summary>Pieces that a thread of the pulling kernel has under way: enough to fill the link, few enough for two blocks on a multiprocessor.</summary>
    private const int PulledPieces = 4;

    /// <summary>Rows that a block of the kernel whose owners read has under way, where a thread has one piece of each: as many as there are registers for.</summary>
    private const int OwnedRows = 2;

    private const int GptOssWidth = 2880;

    private readonly KernelLibrary _library;
    private readonly RowShape _shape;
    private readonly Dictionary<ReductionWay, CudaFunction> _ways;
    private readonly CudaFunction _pullSome;
    private readonly Dictionary<GatherWay, CudaFunction> _gathers;
    private readonly CudaFunction _addNorm;
    private readonly CudaFunction? _addNormOfType;
    private readonly CudaFunction _widen;
    private readonly int _mostAddNormBlocks;

    /// <param name="library">The device's.</param>
    /// <param name="shape">Of a row.</param>
    /// <param name="type">Of its values.</param>
    /// <param name="ranks">Ranks of the group.</param>
    /// <param name="finishesOwnType">Whether there are to be sums of the rows' own type to finish.</param>
    /// <exception cref="MoeException">A kernel does not compile.</exception>
    public ReductionKernels(KernelLibrary library, RowShape shape, MoeElementType type, int ranks, bool finishesOwnType = false)
    {
        _library = library;
        _shape = shape;
        using CudaContextScope scope = library.Context.MakeCurrent();

        // Loaded now: a kernel that is loaded at its first launch may wait for those that wait for it.
        _ways = Enum.GetValues<ReductionWay>().ToDictionary(way => way, way => library.Get(UnitOf(way, type, shape, ranks), Instance(way, type, shape, ranks)));
        _pullSome = library.Get(UnitOf(ReductionWay.Pull, type, shape, ranks, some: true), Instance(ReductionWay.Pull, type, shape, ranks, some: true));
        _gathers = Enum.GetValues<GatherWay>().ToDictionary(way => way, way => library.Get(GatherUnit, NameOf(way)));
        string addNorm = AddNorm(type, MoeElementType.Float32, shape);
        _addNorm = library.Get(AddNormUnit(addNorm), addNorm);
        _widen = library.Get(AddNormUnit(addNorm), "moe_widen");
        string ofType = AddNorm(type, type, shape);
        _addNormOfType = finishesOwnType ? library.Get(AddNormUnit(ofType), ofType) : null;
        _mostAddNormBlocks = Context.Device.MultiprocessorCount * _addNorm.GetMaxBlocksPerMultiprocessor(shape.Threads, 0);
    }

    /// <summary>What is compiled ahead: BF16 rows of gpt-oss's width for 2, 4 and 8 ranks.</summary>
    public static IEnumerable<KernelUnit> Units =>
    [
        .. Enumerable.Range(1, 3).Select(log => 1 << log).SelectMany(ranks => Enum.GetValues<ReductionWay>()
            .Select(way => UnitOf(way, MoeElementType.BFloat16, GptOss, ranks))
            .Append(UnitOf(ReductionWay.Pull, MoeElementType.BFloat16, GptOss, ranks, some: true))),
        GatherUnit,
        AddNormUnit(AddNorm(MoeElementType.BFloat16, MoeElementType.Float32, GptOss)),
    ];

    private static RowShape GptOss { get; } = RowShape.Of(GptOssWidth, MoeElementType.BFloat16);

    private static KernelUnit GatherUnit { get; } = new("gather.cu");

    /// <summary>Most blocks that run at once where a rank shares its device with no other.</summary>
    public int MostResidentBlocks(ReductionWay way)
    {
        int most = _ways[way].GetMaxBlocksPerMultiprocessor(_shape.Threads, 0);
        return Context.Device.MultiprocessorCount
            * (way == ReductionWay.Pull ? Math.Min(most, _pullSome.GetMaxBlocksPerMultiprocessor(_shape.Threads, 0)) : most);
    }

    /// <summary>The same of gatherings, in whichever way.</summary>
    public int MostResidentGatherBlocks => Context.Device.MultiprocessorCount
        * _gathers.Min(gather => gather.Value.GetMaxBlocksPerMultiprocessor(ThreadsOf(gather.Key), 0));

    public CudaContext Context => _library.Context;

    /// <summary>The kernel of a way; <paramref name="some"/>: of reduce-scatters by reading that leave ranks out.</summary>
    public static KernelUnit UnitOf(ReductionWay way, MoeElementType type, RowShape shape, int ranks, bool some = false) => new(
        way switch
        {
            ReductionWay.TwoShot => "two_shot.cu",
            ReductionWay.Pull => "pull.cu",
            ReductionWay.TwoPull => "two_pull.cu",
            _ => "push.cu",
        },
        Instance(way, type, shape, ranks, some));

    /// <summary>Launches a reduction. The context must be current.</summary>
    public void Reduce(ReductionWay way, int blocks, nint stream, ref readonly GroupParameters parameters) =>
        (parameters.Experts.Ids == 0 ? _ways[way] : _pullSome).Launch(_library.Launch(blocks, _shape.Threads), stream, in parameters);

    /// <summary>Launches the copy of BF16 values, a multiple of 8, to float32. The context must be current.</summary>
    public void Widen(nint from, nint to, long count, nint stream)
    {
        long pieces = count / WidenedValues;
        int blocks = (int)Math.Min((pieces + GatherThreads - 1) / GatherThreads, WidenBlocks * (long)Context.Device.MultiprocessorCount);
        var parameters = new WidenParameters { From = from, To = to, Pieces = pieces };
        _widen.Launch(_library.Launch(blocks, GatherThreads), stream, in parameters);
    }

    /// <summary>Launches what comes behind a sum that is complete, with as many blocks as there is use for. The context must be current.</summary>
    /// <param name="ofOwnType">Whether the sums are of the rows' type, else they are float32.</param>
    /// <param name="stream">The stream.</param>
    /// <param name="parameters">The kernel's.</param>
    public void FinishRows(bool ofOwnType, nint stream, ref readonly GroupParameters parameters) =>
        (ofOwnType ? _addNormOfType! : _addNorm).Launch(_library.Launch(Math.Min(parameters.Rows, _mostAddNormBlocks), _shape.Threads), stream, in parameters);

    /// <summary>The kernel of a way to gather.</summary>
    public static string NameOf(GatherWay way) => way switch
    {
        GatherWay.Pull => "moe_gather_read",
        GatherWay.Short => "moe_gather_short",
        _ => "moe_gather",
    };

    /// <summary>Threads of a block of it.</summary>
    public static int ThreadsOf(GatherWay way) => way == GatherWay.Short ? ShortRow.Threads : GatherThreads;

    /// <summary>Launches a gathering. The context must be current.</summary>
    public void Gather(GatherWay way, int blocks, nint stream, ref readonly GatherParameters parameters) =>
        _gathers[way].Launch(_library.Launch(blocks, ThreadsOf(way)), stream, in parameters);

    /// <summary>As in <c>add_norm.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct WidenParameters
    {
        public nint From;
        public nint To;
        public long Pieces;
    }

    private static KernelUnit AddNormUnit(string instance) => new("add_norm.cu", instance);

    private static string AddNorm(MoeElementType type, MoeElementType sums, RowShape shape) =>
        $"moe_add_norm<{Element(type)}, {Element(sums)}, {shape.Pieces}, {shape.Threads}>";

    private static string Element(MoeElementType type) => type == MoeElementType.BFloat16 ? "u16" : "float";

    private static string Instance(ReductionWay way, MoeElementType type, RowShape shape, int ranks, bool some = false)
    {
        int batch = ranks <= 2 ? 2 : ranks <= 4 ? 4 : 8;
        string row = $"{Element(type)}, {shape.Pieces}, {shape.Threads}, {batch}";
        return way switch
        {
            ReductionWay.Push => $"moe_push<{row}>",
            ReductionWay.TwoShot => $"moe_two_shot<{row}>",
            ReductionWay.TwoPull => $"moe_two_pull<{row}, {(batch > 4 ? 1 : Math.Max(1, OwnedRows / shape.Pieces))}>",
            _ => $"moe_pull<{row}, {Math.Max(1, PulledPieces / batch / shape.Pieces)}{(some ? ", true" : "")}>",
        };
    }
}
