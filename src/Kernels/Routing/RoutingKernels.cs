using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Enqueues what comes before and after the experts' products: router, sort, combine. Allocates nothing.</summary>
internal sealed class RoutingKernels
{
    /// <summary>The most choices of a token.</summary>
    public const int MaxTopK = 32;

    private const int RowsThreads = 256;
    private const int SortThreads = 1024;
    private const int CombineThreads = 128;
    private const int CombineColumns = 8;

    /// <summary>Choices that the combine's first kernels read at once; with more of them others do.</summary>
    private const int CombineFew = 4;

    private static readonly KernelUnit SortUnit = new("sort.cu");
    private static readonly KernelUnit CombineUnit = new("combine.cu");
    private static readonly KernelUnit RowsUnit = new("rows.cu");

    private readonly KernelLibrary _library;
    private readonly RouterKernels _router;
    private readonly CudaFunction _sort;
    private readonly CudaFunction _combine;
    private readonly CudaFunction _combineMany;
    private readonly CudaFunction _combineShared;
    private readonly CudaFunction _combineSharedMany;
    private readonly CudaFunction _rows;
    private readonly CudaFunction _weighRows;
    private readonly CudaFunction _normRows;
    private readonly CudaFunction _sharedGate;

    public RoutingKernels(KernelLibrary library, MoeRouter router)
    {
        _library = library;
        _router = new RouterKernels(library, router);
        _sort = library.Get(SortUnit, "moe_sort", besideProducts: true);
        _combine = library.Get(CombineUnit, "moe_combine", besideProducts: true);
        _combineMany = library.Get(CombineUnit, "moe_combine_many", besideProducts: true);
        _combineShared = library.Get(CombineUnit, "moe_combine_shared", besideProducts: true);
        _combineSharedMany = library.Get(CombineUnit, "moe_combine_shared_many", besideProducts: true);
        _rows = library.Get(RowsUnit, "moe_rows_to_bf16");
        _weighRows = library.Get(RowsUnit, "moe_weigh_rows");
        _normRows = library.Get(RowsUnit, "moe_norm_rows");
        _sharedGate = library.Get(RowsUnit, "moe_shared_gate");
    }

    /// <summary>The sources of these kernels for an architecture.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture) => [.. RouterKernels.Units(architecture), SortUnit, CombineUnit, RowsUnit];

    /// <summary>Whether rows are BF16 and 16-byte aligned, as the products read them.</summary>
    public static bool ReadsInPlace(in MoeTensorView input) =>
        input.ElementType == MoeElementType.BFloat16 && input.Address % 16 == 0 && input.RowStride % 16 == 0;

    /// <summary>The caller's activations as the products read them: in place where they are BF16 and 16-byte aligned, else copied.</summary>
    public ExpertRows Rows(in MoeTensorView input, RouterBuffers buffers, nint stream)
    {
        if (ReadsInPlace(input))
        {
            return new ExpertRows(input.Address, input.RowStride / sizeof(ushort), input.Rows);
        }

        var parameters = new RowsParameters
        {
            Source = input.Address,
            Target = buffers.Rows,
            SourceStride = input.RowStride / input.ElementType.ByteSize(),
            Columns = input.Columns,
            SourceIsBf16 = input.ElementType == MoeElementType.BFloat16 ? 1 : 0,
        };
        _rows.Launch(_library.Launch(input.Rows, RowsThreads), stream, in parameters);
        return new ExpertRows(buffers.Rows, input.Columns, input.Rows);
    }

    /// <summary>Logits, top-k, weights and the order by expert.</summary>
    /// <param name="x">BF16 rows, 16-byte aligned, at least one.</param>
    /// <param name="router">The router's weights.</param>
    /// <param name="tokenIds">[tokens, 1] int32, where the router's table names the experts.</param>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="buffers">Where intermediate results go.</param>
    /// <param name="order">Where the order by expert goes.</param>
    /// <param name="ids">[tokens, top-k] int32, dense: where the choice goes.</param>
    /// <param name="weights">[tokens, top-k] float32, dense.</param>
    /// <param name="blockRows">Rows of a row block; 0 to make none.</param>
    /// <param name="earlyCounter">As <see cref="RoutingBuffers.Target"/> takes it.</param>
    /// <param name="stream">The stream.</param>
    public void Route(
        in ExpertRows x,
        RouterTensors router,
        in MoeTensorView tokenIds,
        MoeLayerShape shape,
        RouterBuffers buffers,
        RoutingBuffers order,
        nint ids,
        nint weights,
        int blockRows,
        nint earlyCounter,
        nint stream)
    {
        RoutingBuffers.SortTarget target = order.Target(blockRows, earlyCounter);
        if (!_router.Route(x.Address, x.Stride, x.Tokens, router, tokenIds, shape, buffers, target, ids, weights, stream))
        {
            Sort(ids, x.Tokens * shape.TopK, order, blockRows, earlyCounter, stream);
        }
    }

    /// <summary>The order by expert alone, for routing that the caller hands in.</summary>
    public void Sort(nint ids, int pairs, RoutingBuffers order, int blockRows, nint earlyCounter, nint stream)
    {
        SortParameters parameters = SortOf(ids, pairs, order, blockRows, earlyCounter);
        _sort.Launch(_library.Launch(parameters.Target.Experts, SortThreads), stream, in parameters);
    }

    /// <summary>The same as the first launch of a stream that has waited for another.</summary>
    public void SortFirst(nint ids, int pairs, RoutingBuffers order, int blockRows, nint stream)
    {
        SortParameters parameters = SortOf(ids, pairs, order, blockRows, earlyCounter: 0);
        _sort.Launch(new CudaLaunchConfig(parameters.Target.Experts, SortThreads), stream, in parameters);
    }

    /// <summary>The weighted sum of each token's partial results.</summary>
    public void Combine(in CombineParameters parameters, nint stream) =>
        (parameters.TopK > CombineFew ? _combineMany : _combine).Launch(CombineLaunch(parameters), stream, in parameters);

    /// <summary>The same and the shared experts' results.</summary>
    /// <param name="parameters">What is summed.</param>
    /// <param name="hasJoined">Whether the stream has just waited for another, so that the launch cannot begin early.</param>
    /// <param name="stream">The stream.</param>
    public void CombineShared(in SharedCombineParameters parameters, bool hasJoined, nint stream)
    {
        CudaLaunchConfig launch = CombineLaunch(parameters.Routed);
        (parameters.Routed.TopK > CombineFew ? _combineSharedMany : _combineShared).Launch(
            hasJoined ? launch with { ProgrammaticStreamSerialization = false } : launch, stream, in parameters);
    }

    /// <summary>Weight times token for each pair: BF16 [pairs, columns].</summary>
    /// <param name="x">The tokens' rows.</param>
    /// <param name="weights">[tokens, top-k] float32.</param>
    /// <param name="topK">Choices of a token.</param>
    /// <param name="columns">Values of a row, a multiple of 8.</param>
    /// <param name="target">Where the rows go.</param>
    /// <param name="stream">The stream.</param>
    public ExpertRows WeighRows(in ExpertRows x, nint weights, int topK, int columns, nint target, nint stream)
    {
        var parameters = new WeighRowsParameters { X = x.Address, Weights = weights, Target = target, XStride = x.Stride, Columns = columns, TopK = topK };
        _weighRows.Launch(_library.Launch(x.Tokens * topK, RowsThreads), stream, in parameters);
        return new ExpertRows(target, columns, x.Tokens * topK);
    }

    /// <summary>The RMS norm of float32 rows: BF16 [rows, columns].</summary>
    public ExpertRows NormRows(nint source, nint scale, float epsilon, int rows, int columns, nint target, nint stream)
    {
        var parameters = new NormRowsParameters { Source = source, Scale = scale, Target = target, Columns = columns, Epsilon = epsilon };
        _normRows.Launch(_library.Launch(rows, RowsThreads), stream, in parameters);
        return new ExpertRows(target, columns, rows);
    }

    /// <summary>sigmoid(x · gate) of each token: float32.</summary>
    public void OpenSharedGate(in ExpertRows x, nint gate, int hidden, nint opened, nint stream)
    {
        var parameters = new SharedGateParameters { X = x.Address, Gate = gate, Opened = opened, XStride = x.Stride, Hidden = hidden };
        _sharedGate.Launch(_library.Launch(x.Tokens, RowsThreads), stream, in parameters);
    }

    private static SortParameters SortOf(nint ids, int pairs, RoutingBuffers order, int blockRows, nint earlyCounter) =>
        new() { Ids = ids, Target = order.Target(blockRows, earlyCounter), Pairs = pairs };

    private CudaLaunchConfig CombineLaunch(in CombineParameters parameters)
    {
        long pieces = (long)parameters.Tokens * (parameters.Hidden / CombineColumns);
        return _library.Launch(checked((int)((pieces + CombineThreads - 1) / CombineThreads)), CombineThreads);
    }

    /// <summary><c>CombineParameters</c> of <c>combine.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct CombineParameters
    {
        /// <summary>[splits, pairs, partial stride] float32 or BF16.</summary>
        public nint Partial;

        /// <summary>[tokens, top-k] int32.</summary>
        public nint Ids;

        /// <summary>[tokens, top-k] float32.</summary>
        public nint Weights;

        /// <summary>[experts, hidden] float32, or 0.</summary>
        public nint Bias;

        /// <summary>[tokens, out stride] BF16 or float32.</summary>
        public nint Out;

        /// <summary>Elements from one pair to the next.</summary>
        public long PartialStride;

        /// <summary>Elements from one split to the next.</summary>
        public long SplitStride;

        /// <summary>Elements from one output row to the next.</summary>
        public long OutStride;

        /// <summary>Rows of the output.</summary>
        public int Tokens;

        /// <summary>Columns, a multiple of 8.</summary>
        public int Hidden;

        /// <summary>Choices of a token.</summary>
        public int TopK;

        /// <summary>Splits of the inner dimension.</summary>
        public int Splits;

        /// <summary>Number of experts of this device.</summary>
        public int Experts;

        /// <summary>The id of the first of them.</summary>
        public int FirstExpert;

        /// <summary>1 where the partial results are BF16.</summary>
        public int PartialIsBf16;

        /// <summary>1 where the output is float32.</summary>
        public int OutIsFloat;
    }

    /// <summary><c>SharedCombineParameters</c> of <c>combine.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct SharedCombineParameters
    {
        /// <summary>What the chosen experts give.</summary>
        public CombineParameters Routed;

        /// <summary>[splits, tokens, hidden] float32 or BF16.</summary>
        public nint Partial;

        /// <summary>[tokens] float32: what it is multiplied by, or 0.</summary>
        public nint Opened;

        /// <summary>Elements from one split to the next.</summary>
        public long SplitStride;

        /// <summary>Splits of the inner dimension.</summary>
        public int Splits;

        /// <summary>1 where the partial results are BF16.</summary>
        public int PartialIsBf16;
    }

    /// <summary><c>WeighRowsParameters</c> of <c>rows.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct WeighRowsParameters
    {
        public nint X;
        public nint Weights;
        public nint Target;
        public long XStride;
        public int Columns;
        public int TopK;
    }

    /// <summary><c>NormRowsParameters</c> of <c>rows.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct NormRowsParameters
    {
        public nint Source;
        public nint Scale;
        public nint Target;
        public int Columns;
        public float Epsilon;
    }

    /// <summary><c>SharedGateParameters</c> of <c>rows.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct SharedGateParameters
    {
        public nint X;
        public nint Gate;
        public nint Opened;
        public long XStride;
        public int Hidden;
        public int Reserved;
    }

    /// <summary><c>RowsParameters</c> of <c>rows.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct RowsParameters
    {
        public nint Source;
        public nint Target;
        public long SourceStride;
        public int Columns;
        public int SourceIsBf16;
    }

    /// <summary><c>SortParameters</c> of <c>sort.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct SortParameters
    {
        public nint Ids;
        public RoutingBuffers.SortTarget Target;
        public int Pairs;
        public int Reserved;
    }
}
