using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>One BF16 matrix times every token, as the second product of one expert has it: the projections around latent experts.</summary>
/// <remarks>
/// Its launch waits for all before it as launches do that are not dependent: the kernels read the order of the tokens before their own wait, which
/// here is not older than the launch before.
/// </remarks>
internal sealed class Bf16Projection
{
    /// <summary>Up to so many tokens reading the weights is all the time there is.</summary>
    private const int FewTokens = 64;

    private readonly IReadOnlyList<Bf16DecodeVariant> _variants;
    private readonly CudaFunction[] _few;
    private readonly CudaFunction _many;
    private readonly int _multiprocessors;

    public Bf16Projection(KernelLibrary library)
    {
        CudaDevice device = library.Context.Device;
        _multiprocessors = device.MultiprocessorCount;
        _variants = Bf16DecodeVariant.For(device.MaxSharedBytesPerBlock);
        _few = [.. _variants.Select(variant => library.Get(variant.Unit, variant.DownEntry, variant.SharedBytes))];
        _many = library.Get(Bf16MmaProducts.Unit, Bf16MmaProducts.Product2, Bf16MmaProducts.SharedBytes);
    }

    /// <summary>Rows of a row block that the sort is to make for so many tokens.</summary>
    public int BlockRows(int tokens) => tokens <= FewTokens ? _variants[Variant(tokens)].Tokens : Bf16MmaProducts.TileTokens;

    /// <summary>Enqueues the product.</summary>
    /// <param name="rows">BF16 rows, as wide as the matrix has inputs.</param>
    /// <param name="matrix">The matrix, of one expert.</param>
    /// <param name="order">The tokens as those of one expert, with <see cref="BlockRows"/>.</param>
    /// <param name="target">[splits, tokens, outputs]: where the partial results go.</param>
    /// <param name="stream">The stream.</param>
    public PartialLayout Run(in ExpertRows rows, Bf16Matrix matrix, RoutingBuffers order, nint target, nint stream)
    {
        if (rows.Tokens > FewTokens)
        {
            var parameters = new Bf16MmaProducts.Parameters
            {
                Weight = matrix.Weight,
                Factor = matrix.Factors,
                X = rows.Address,
                Out = target,
                SortedPairs = order.SortedPairs,
                RowBlocks = order.RowBlocks,
                RowBlockCount = order.RowBlockCount,
                XStride = rows.Stride,
                OutStride = matrix.Rows,
                Rows = matrix.Rows,
                Depth = matrix.Inputs,
                TopK = 1,
            };
            int blocks = Bf16MmaProducts.BlocksPerMultiprocessor * _multiprocessors;
            _many.Launch(new CudaLaunchConfig(blocks, Bf16MmaProducts.Threads, Bf16MmaProducts.SharedBytes), stream, in parameters);
            return new PartialLayout(1, IsBf16: true);
        }

        int splits = Bf16Plan.Splits(rows.Tokens);
        Bf16DecodeVariant variant = _variants[Variant(rows.Tokens)];
        var few = new Bf16DecodeProducts.Parameters
        {
            X = rows.Address,
            Weight = matrix.Weight,
            Factor = matrix.Factors,
            Out = target,
            SortedPairs = order.SortedPairs,
            RowBlocks = order.RowBlocks,
            RowBlockCount = order.RowBlockCount,
            XStride = rows.Stride,
            OutStride = matrix.Rows,
            SplitStride = (long)rows.Tokens * matrix.Rows,
            Rows = matrix.Rows,
            Depth = matrix.Inputs,
            TopK = 1,
            Splits = splits,
        };
        _few[Variant(rows.Tokens)].Launch(new CudaLaunchConfig(_multiprocessors, Bf16DecodeVariant.Threads, variant.SharedBytes), stream, in few);
        return new PartialLayout(splits, IsBf16: false);
    }

    private static int Variant(int tokens) => tokens <= 8 ? 0 : tokens <= 16 ? 1 : 2;
}
