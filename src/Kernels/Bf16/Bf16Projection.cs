using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>
/// One BF16 matrix times every token: the projections around latent experts. Of few tokens in a launch of its own (<c>latent.cu</c>), else as the second
/// product of one expert.
/// </summary>
/// <remarks>
/// The latter's launch waits for all before it as launches do that are not dependent: the kernels read the order of the tokens before their own wait, which
/// here is not older than the launch before.
/// </remarks>
internal sealed class Bf16Projection
{
    /// <summary>Up to so many tokens reading the weights is all the time there is.</summary>
    private const int FewTokens = 64;

    private readonly KernelLibrary _library;
    private readonly IReadOnlyList<Bf16DecodeVariant> _variants;
    private readonly CudaFunction[] _few;
    private readonly CudaFunction _many;
    private readonly CudaFunction[] _ofFew;
    private readonly int _multiprocessors;

    public Bf16Projection(KernelLibrary library)
    {
        _library = library;
        CudaDevice device = library.Context.Device;
        _multiprocessors = device.MultiprocessorCount;
        _variants = Bf16DecodeVariant.For(device.MaxSharedBytesPerBlock);
        _few = [.. _variants.Select(variant => library.Get(variant.Unit, variant.DownEntry, variant.SharedBytes))];
        _many = library.Get(Bf16MmaProducts.Unit, Bf16MmaProducts.Product2, Bf16MmaProducts.SharedBytes);
        _ofFew = [.. Entries.Select((entry, i) => library.Get(Unit, entry, FewTokensTiles.SharedBytes(i + 1), besideProducts: true))];
    }

    /// <summary>The source of the launch for few tokens.</summary>
    public static KernelUnit Unit { get; } = new("latent.cu", Entries);

    // By column tiles.
    private static string[] Entries => ["moe_latent<1>", "moe_latent<2>"];

    /// <summary>Rows of a row block that the sort is to make for so many tokens.</summary>
    public int BlockRows(int tokens) => tokens <= FewTokens ? _variants[Variant(tokens)].Tokens : Bf16MmaProducts.TileTokens;

    /// <summary>Whether so many tokens run in launches of few.</summary>
    public static bool IsFew(MoeLayerShape shape, int tokens) => FewTokensTiles.Suit(tokens, shape.ExpertHiddenSize * (long)shape.HiddenSize * sizeof(ushort));

    /// <summary>Enqueues the projection of few tokens to the experts' width.</summary>
    /// <param name="x">BF16 rows.</param>
    /// <param name="matrix">The matrix, of one expert.</param>
    /// <param name="target">[tokens, width] BF16.</param>
    /// <param name="stream">The stream.</param>
    public void RunDown(in ExpertRows x, Bf16Matrix matrix, nint target, nint stream) =>
        RunFew(x, matrix, new FewParameters { Out = target, OutStride = matrix.Rows }, hasJoined: false, stream);

    /// <summary>Enqueues the projection of few tokens back to the hidden size, and the sum with the shared experts' results: a forward's end.</summary>
    /// <param name="rows">BF16 rows.</param>
    /// <param name="matrix">The matrix, of one expert.</param>
    /// <param name="sum">What is added and where the sum goes; no partial results where there are no shared experts.</param>
    /// <param name="hasJoined">Whether the stream has just waited for another, so that the launch cannot begin early.</param>
    /// <param name="stream">The stream.</param>
    public void RunUp(in ExpertRows rows, Bf16Matrix matrix, in RoutingKernels.SharedCombineParameters sum, bool hasJoined, nint stream)
    {
        var parameters = new FewParameters
        {
            Out = sum.Routed.Out,
            OutStride = sum.Routed.OutStride,
            OutIsFloat = sum.Routed.OutIsFloat,
            Shared = sum.Partial,
            Opened = sum.Opened,
        };
        RunFew(rows, matrix, parameters, hasJoined, stream);
    }

    /// <summary>Enqueues the product.</summary>
    /// <param name="rows">BF16 rows, as wide as the matrix has inputs.</param>
    /// <param name="matrix">The matrix, of one expert.</param>
    /// <param name="order">The tokens as those of one expert, with <see cref="BlockRows"/>.</param>
    /// <param name="target">[splits, tokens, outputs]: where the partial results go.</param>
    /// <param name="stream">The stream.</param>
    public PartialLayout Run(in ExpertRows rows, Bf16Matrix matrix, RoutingBuffers order, nint target, nint stream)
    {
        Bf16ProductParameters parameters = Bf16ProductParameters.Of(rows, matrix, order, topK: 1);
        parameters.Out = target;
        if (rows.Tokens > FewTokens)
        {
            int blocks = Bf16MmaProducts.BlocksPerMultiprocessor * _multiprocessors;
            _many.Launch(new CudaLaunchConfig(blocks, Bf16MmaProducts.Threads, Bf16MmaProducts.SharedBytes), stream, in parameters);
            return new PartialLayout(1, IsBf16: true);
        }

        int splits = Bf16Plan.Splits(rows.Tokens);
        int variant = Variant(rows.Tokens);
        parameters.SplitStride = (long)rows.Tokens * matrix.Rows;
        parameters.Splits = splits;
        var launch = new CudaLaunchConfig(_multiprocessors, Bf16DecodeVariant.Threads, _variants[variant].SharedBytes);
        _few[variant].Launch(launch, stream, in parameters);
        return new PartialLayout(splits, IsBf16: false);
    }

    private static int Variant(int tokens) => tokens <= 8 ? 0 : tokens <= 16 ? 1 : 2;

    private void RunFew(in ExpertRows rows, Bf16Matrix matrix, FewParameters parameters, bool hasJoined, nint stream)
    {
        FewTokensTiles tiles = FewTokensTiles.For(matrix.Rows, rows.Tokens, _multiprocessors);
        parameters.X = rows.Address;
        parameters.Weight = matrix.Weight;
        parameters.Factor = matrix.Factors;
        parameters.XStride = rows.Stride;
        parameters.Tokens = rows.Tokens;
        parameters.Rows = matrix.Rows;
        parameters.Depth = matrix.Inputs;
        parameters.RowWarps = tiles.RowWarps;
        CudaLaunchConfig launch = _library.Launch(tiles.Count(matrix.Rows), FewTokensTiles.Threads, FewTokensTiles.SharedBytes(tiles.ColumnTiles));
        _ofFew[tiles.ColumnTiles - 1].Launch(hasJoined ? launch with { ProgrammaticStreamSerialization = false } : launch, stream, in parameters);
    }

    /// <summary><c>ProjectionParameters</c> of <c>latent.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct FewParameters
    {
        public nint X;
        public nint Weight;
        public nint Factor;
        public nint Out;
        public nint Shared;
        public nint Opened;
        public long XStride;
        public long OutStride;
        public int Tokens;
        public int Rows;
        public int Depth;
        public int RowWarps;
        public int OutIsFloat;
        public int Reserved;
    }
}
