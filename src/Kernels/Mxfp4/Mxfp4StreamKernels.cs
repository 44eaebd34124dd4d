using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Shared experts that run in the routed experts' launch.</summary>
/// <param name="X">Their tokens: BF16 rows.</param>
/// <param name="Weights">Their weights.</param>
/// <param name="Codes">The same as they are stored in FP8, first and second product's; null where they are not.</param>
/// <param name="Gate">[hidden] float32, or 0.</param>
/// <param name="Opened">[tokens] float32: where it goes how far the gate opens.</param>
/// <param name="Workspace">Where their results go: [tokens, hidden] float32.</param>
/// <param name="Activation">Their activation.</param>
/// <param name="Stored">[1] int32 that <see cref="RoutingBuffers.Target"/> had to clear.</param>
internal readonly record struct SharedOfStream(
    ExpertRows X,
    Bf16Weights Weights,
    (E4M3Matrix Up, E4M3Matrix Down)? Codes,
    nint Gate,
    nint Opened,
    Bf16Workspace Workspace,
    ActivationConstants Activation,
    nint Stored);

/// <summary>Both products of few tokens as one stream of weights, on sm_90a: <c>mxfp4_stream.cuh</c>.</summary>
internal sealed class Mxfp4StreamKernels
{
    /// <summary>Warpgroups that multiply; one more loads.</summary>
    private const int Groups = 4;
    private const int Threads = 128 * (Groups + 1);

    /// <summary>The most tokens: columns of the matrix instruction.</summary>
    public const int MaxTokens = 8;

    /// <summary>Steps of 64 inputs of a stage.</summary>
    private const int StageSteps = 8;

    /// <summary>Places of the kernel's table, of experts that have tokens.</summary>
    private const int TablePlaces = 512;

    /// <summary>Experts at the list's end whose tiles of the second product come in halves, for one token: measured with 1, 2 and 3.</summary>
    private const int HalvedExperts = 2;

    /// <summary>Inputs of the longest tiles that stay whole, four stages: what a tile costs beside its stages shall not be more than even ends gain.</summary>
    private const int LongestWhole = 4 * StageSteps * Mxfp4Layout.GroupDepth;

    private const string RoutedParameters = "Mxfp4StreamParameters";
    private const string SharedParameters = "Mxfp4SharedStreamParameters<false>";
    private const string SharedCodesParameters = "Mxfp4SharedStreamParameters<true>";

    /// <summary>What a multiplying thread may have of registers, when the loading ones have given theirs back.</summary>
    private const int GroupRegisters = 104;

    private readonly KernelLibrary _library;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly Mxfp4Activations _activations;
    private readonly Mxfp4Dealing _dealing;
    private readonly CudaFunction _products;
    private CudaFunction? _withShared;
    private CudaFunction? _withSharedCodes;

    /// <summary>Gets the kernels.</summary>
    /// <param name="library">The backend's kernels; its context must be current.</param>
    /// <param name="shape">The routed experts' network.</param>
    /// <param name="activations">What activations are rounded to.</param>
    /// <param name="dealing">How the weights hold their codes.</param>
    public Mxfp4StreamKernels(KernelLibrary library, MoeLayerShape shape, Mxfp4Activations activations, Mxfp4Dealing dealing)
    {
        _library = library;
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _activations = activations;
        _dealing = dealing;
        _products = Get(RoutedParameters);
    }

    /// <summary>The source, with the kernels of one type of activation.</summary>
    /// <param name="activations">What activations are rounded to.</param>
    /// <param name="dealing">How the weights hold their codes.</param>
    /// <param name="type">One of <see cref="Types"/>.</param>
    public static KernelUnit Unit(Mxfp4Activations activations, Mxfp4Dealing dealing, string type) => activations == Mxfp4Activations.Mxfp8
        ? new("mxfp4_stream_mxfp8.cu", Entry(activations, dealing, RoutedParameters, type))
        : new(
            "mxfp4_stream.cu",
            Entry(activations, dealing, RoutedParameters, type),
            Entry(activations, dealing, SharedParameters, type),
            Entry(activations, dealing, SharedCodesParameters, type));

    /// <summary>The types of activations that the kernel has, of <see cref="ActivationConstants.Types"/>.</summary>
    public static IEnumerable<string> Types(Mxfp4Activations activations) => activations == Mxfp4Activations.Mxfp8 ? [ActivationConstants.Silu] : ActivationConstants.Types;

    /// <summary>Whether the kernel has a layer: its activation, its sizes.</summary>
    public static bool Runs(MoeLayerShape shape, Mxfp4Activations activations) =>
        Types(activations).Contains(ActivationConstants.TypeOf(shape.Activation))
        && MaxTokens * shape.TopK <= TablePlaces
        && shape.ExpertHiddenSize % Mxfp4Layout.GroupDepth == 0 && shape.IntermediateSize % Mxfp4Layout.BlockSize == 0;

    /// <summary>Columns of the first product's results: whole steps of 64, of which those beyond the intermediate size are to be 0.</summary>
    public static int ActColumns(MoeLayerShape shape) => Mxfp4Layout.Steps(shape.IntermediateSize) * Mxfp4Layout.GroupDepth;

    /// <summary>Gets the kernel that has shared experts in its launch, if there is one for their activation and sizes.</summary>
    /// <returns>Whether there is.</returns>
    public bool MakeRoomFor(MoeLayerShape shared)
    {
        bool suits = ActivationConstants.TypeOf(shared.Activation) == ActivationConstants.TypeOf(_shape.Activation)
            && shared.HiddenSize % Mxfp4Layout.BandRows == 0 && shared.IntermediateSize % Mxfp4Layout.BandRows == 0;
        if (suits)
        {
            _withShared = Get(SharedParameters);
            _withSharedCodes = shared.WeightFormat == MoeWeightFormat.Fp8Block ? Get(SharedCodesParameters) : null;
        }

        return suits;
    }

    /// <summary>Enqueues both products of the routed experts, and of the shared ones where there are some.</summary>
    /// <param name="rows">BF16 rows, rounded already where activations are.</param>
    /// <param name="weights">The weights.</param>
    /// <param name="workspace">The buffers.</param>
    /// <param name="shared">The shared experts.</param>
    /// <param name="stream">The stream.</param>
    public PartialLayout Run(in ExpertRows rows, Mxfp4Weights weights, Mxfp4Workspace workspace, SharedOfStream? shared, nint stream)
    {
        int actColumns = ActColumns(_shape), pairs = rows.Tokens * _shape.TopK;
        bool hasHalves = shared is null && rows.Tokens == 1 && _shape.IntermediateSize > LongestWhole && pairs <= Mxfp4GroupedKernels.MostPairsInParts;
        var parameters = new Parameters
        {
            Tokens = Boxes(rows, _shape.HiddenSize, rows.Tokens),
            Act = Boxes(new ExpertRows(workspace.StreamAct, actColumns, pairs), actColumns, rows.Tokens),
            First = Product.Of(weights.GateUp, workspace.StreamAct, actColumns),
            Second = Product.Of(weights.Down, workspace.PartialResults, _shape.HiddenSize),
            EarlyOffsets = workspace.Routing.EarlyOffsets,
            SortedPairs = workspace.Routing.SortedPairs,
            Counters = workspace.Routing.ProductCounters,
            Ticket = workspace.Ticket,
            Experts = _shape.LocalExpertCount,
            TokenFactor = TokenFactor(_shape.TopK),
            Columns = rows.Tokens,
            Activation = _activation,
            Halved = hasHalves ? HalvedExperts : 0,
            Pairs = pairs,
        };
        CudaLaunchConfig launch = _library.Launch(_library.Context.Device.MultiprocessorCount, Threads, Room.SharedBytes);
        if (shared is { } own)
        {
            var act = new ExpertRows(own.Workspace.Act, own.Weights.Down.Inputs, rows.Tokens);
            var both = new ParametersWithShared
            {
                Routed = parameters,
                First = SharedProduct.Of(own.Weights.GateUp, own.Codes?.Up, own.X, own.Workspace.Act),
                Second = SharedProduct.Of(own.Weights.Down, own.Codes?.Down, act, own.Workspace.PartialResults),
                Stored = own.Stored,
                X = own.X.Address,
                XStride = own.X.Stride,
                Gate = own.Gate,
                Opened = own.Opened,
                Activation = own.Activation,
            };
            (own.Codes is null ? _withShared! : _withSharedCodes!).Launch(launch, stream, in both);
        }
        else
        {
            _products.Launch(launch, stream, in parameters);
        }

        return new PartialLayout(hasHalves ? 2 : 1, IsBf16: true, HasBias: true);
    }

    /// <summary>What a pair's number is multiplied by, and 65,536 divides, to get its token, for all pairs that a launch may have.</summary>
    private static uint TokenFactor(int topK) => (uint)((65536 + topK - 1) / topK);

    private static string Entry(Mxfp4Activations activations, Mxfp4Dealing dealing, string parameters, string type) =>
        $"moe_mxfp4_stream<{Room.Stages}, {GroupRegisters}, {Room.SharedBytes}, {Mxfp4GroupedTile.Rounding(activations)}, {parameters}, {type}"
        + (dealing == Mxfp4Dealing.E4M3 ? ", DealtForE4m3>" : ">");

    private CudaFunction Get(string parameters)
    {
        string type = ActivationConstants.TypeOf(_shape.Activation);
        return _library.Get(Unit(_activations, _dealing, type), Entry(_activations, _dealing, parameters, type), Room.SharedBytes);
    }

    /// <summary>How TMA finds what a stage needs of the rows: as many as there are tokens.</summary>
    private static CudaTensorMap Boxes(in ExpertRows rows, int columns, int tokens, uint steps = StageSteps)
    {
        // On the stack: a forward allocates nothing.
        ReadOnlySpan<ulong> sizes = stackalloc ulong[] { Mxfp4Layout.GroupDepth, (ulong)rows.Tokens, (ulong)(columns / Mxfp4Layout.GroupDepth) };
        ReadOnlySpan<ulong> strides = stackalloc ulong[] { (ulong)rows.Stride * sizeof(ushort), Mxfp4Layout.GroupDepth * sizeof(ushort) };
        ReadOnlySpan<uint> boxes = stackalloc uint[] { Mxfp4Layout.GroupDepth, (uint)tokens, steps };
        return CudaTensorMap.Tiled(CudaTensorMapDataType.BFloat16, rows.Address, sizes, strides, boxes, CudaTensorMapSwizzle.Swizzle128B);
    }

    /// <summary>A block's shared memory: as many stages as there is room for.</summary>
    private static class Room
    {
        private const int Columns = MaxTokens;
        private const int BandBytes = Columns * Mxfp4Layout.BandRows * sizeof(float);

        /// <summary><c>StreamTiles::kBytes</c>, where a tile is four numbers instead of one, and a barrier for each.</summary>
        private const int TileBytes = Mxfp4GroupedTile.NumberBytes + (32 * ((3 * sizeof(int)) + sizeof(long)));
        private const int FixedBytes = (Groups * ((Groups * BandBytes) + Mxfp4GroupedTile.BarrierBytes))
            + ((TablePlaces + 2) * 2 * sizeof(int)) + TileBytes + Mxfp4GroupedTile.AlignmentBytes;
        private const int StageBytes = (StageSteps * ((Columns * Mxfp4Layout.GroupDepth * sizeof(ushort)) + (Mxfp4Layout.BandGroups * Mxfp4Layout.GroupBytes))) + Mxfp4GroupedTile.BarrierBytes;

        public const int Stages = (Mxfp4GroupedTile.MultiprocessorSharedBytes - Mxfp4GroupedTile.SystemSharedBytes - (Groups * Mxfp4GroupedTile.RoundingBytes) - FixedBytes) / StageBytes;
        public const int SharedBytes = FixedBytes + (Stages * StageBytes);
    }

    /// <summary><c>StreamProduct</c> of <c>stream_parameters.cuh</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Product
    {
        public nint Weights;
        public nint Bias;
        public nint Factor;
        public nint Out;
        public long OutStride;
        public int Rows;
        public int Depth;

        public static Product Of(Mxfp4Matrix matrix, nint target, int stride) => new()
        {
            Weights = matrix.Groups,
            Bias = matrix.Bias,
            Factor = matrix.Factors,
            Out = target,
            OutStride = stride,
            Rows = matrix.Rows,
            Depth = matrix.Depth,
        };
    }

    /// <summary><c>SharedStreamProduct</c>.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 448)]
    private struct SharedProduct
    {
        // Steps of 64 inputs of a stage.
        private const uint StepsOfNumbers = 2;
        private const uint StepsOfCodes = 4;

        public CudaTensorMap Weights;
        public CudaTensorMap Scales;
        public CudaTensorMap Tokens;
        public nint Factor;
        public nint Out;
        public int Rows;
        public int Depth;

        public static SharedProduct Of(Bf16Matrix matrix, E4M3Matrix? codes, in ExpertRows tokens, nint target) => new()
        {
            Weights = codes?.Bands ?? matrix.Bands!.Value,
            Scales = codes?.ScaleBoxes ?? default,
            Tokens = Boxes(tokens, matrix.Inputs, tokens.Tokens, codes is null ? StepsOfNumbers : StepsOfCodes),
            Factor = matrix.Factors,
            Out = target,
            Rows = matrix.Rows,
            Depth = matrix.Inputs,
        };
    }

    /// <summary><c>Mxfp4SharedStreamParameters</c>.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 1408)]
    private struct ParametersWithShared
    {
        public Parameters Routed;
        public SharedProduct First;
        public SharedProduct Second;
        public nint Stored;
        public nint X;
        public long XStride;
        public nint Gate;
        public nint Opened;
        public ActivationConstants Activation;
    }

    /// <summary><c>Mxfp4StreamParameters</c>. Its size is a multiple of its alignment, 64.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 448)]
    private struct Parameters
    {
        public CudaTensorMap Tokens;
        public CudaTensorMap Act;
        public Product First;
        public Product Second;
        public nint EarlyOffsets;
        public nint SortedPairs;
        public nint Counters;
        public nint Ticket;
        public int Experts;
        public uint TokenFactor;
        public int Columns;
        public ActivationConstants Activation;
        public int Halved;
        public int Pairs;
    }
}
