using CsCheck;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>The parts of a layer, computed each in float64 from sliced tensors, sum to the whole layer.</summary>
public sealed class PartOracleTests
{
    /// <summary>Of float64: only the order of the sums differs.</summary>
    private const double RelativeError = 1e-12;

    private static readonly Gen<(int Tensor, int Expert)> AnyRanks = AnyOf((2, 1), (3, 1), (4, 1), (1, 2), (1, 4), (2, 2), (3, 2), (2, 4), (4, 4));

    private static readonly Gen<MoeLayerShape> AnyShape = Gen.Select(
        AnyOf(MoeWeightFormat.Mxfp4, MoeWeightFormat.BFloat16, MoeWeightFormat.Fp8Block, MoeWeightFormat.Nvfp4),
        Gen.Int[1, 3],
        Gen.Int[1, 12],
        Gen.Int[4, 9],
        Gen.Int[1, 3],
        AnyOf(MoeActivation.SwiGluOai(), MoeActivation.SiluGated),
        Gen.Bool,
        Gen.Int[0, 6],
        Gen.Bool,
        (format, hidden, intermediate, experts, topK, activation, hasBias, shared, hasGate) => new MoeLayerShape
        {
            WeightFormat = format,
            HiddenSize = 32 * hidden,
            IntermediateSize = 32 * intermediate,
            ExpertCount = experts,
            TopK = topK,
            Activation = activation,
            HasExpertBias = hasBias,
            Shared = shared == 0 ? null : new MoeSharedExperts
            {
                IntermediateSize = 32 * shared,
                HasGate = hasGate,
                WeightFormat = MoeWeightFormat.BFloat16,
                Activation = activation,
            },
        });

    [Fact]
    public void The_ranks_outputs_sum_to_the_whole_layer_s() => Gen
        .Select(AnyShape, AnyRanks, Gen.Enum<MoeRowOrder>(), Gen.Enum<MoeMatrixOrder>(), Gen.Bool, Gen.Int[0, 1000])
        .Where((shape, ranks, _, _, _, _) => HasParts(shape, ranks))
        .Sample(
            (shape, ranks, rowOrder, order, hasLargeBlocks, seed) => Check(shape, ranks, rowOrder, order, hasLargeBlocks, seed),
            iter: 150,
            threads: 1);

    [Theory]
    [InlineData(MoeWeightFormat.BFloat16, 100, 2)]
    [InlineData(MoeWeightFormat.BFloat16, 97, 4)]
    [InlineData(MoeWeightFormat.Fp8Block, 250, 2)]
    [InlineData(MoeWeightFormat.Nvfp4, 112, 4)]
    public void A_last_block_that_is_not_whole_is_the_last_rank_s(MoeWeightFormat format, int intermediate, int tensorRanks)
    {
        foreach (MoeRowOrder rowOrder in Enum.GetValues<MoeRowOrder>())
        {
            Check(
                new MoeLayerShape { WeightFormat = format, HiddenSize = 64, IntermediateSize = intermediate, ExpertCount = 5, TopK = 2 },
                (tensorRanks, 1),
                rowOrder,
                MoeMatrixOrder.OutputMajor,
                hasLargeBlocks: true,
                seed: intermediate);
        }
    }

    [Fact]
    public void Latent_experts_have_parts_before_their_projection() => Check(
        new MoeLayerShape
        {
            WeightFormat = MoeWeightFormat.BFloat16,
            HiddenSize = 64,
            IntermediateSize = 96,
            ExpertCount = 5,
            TopK = 2,
            Latent = new MoeLatentExperts { Width = 32, WeightFormat = MoeWeightFormat.BFloat16 },
        },
        (3, 2),
        MoeRowOrder.Interleaved,
        MoeMatrixOrder.OutputMajor,
        hasLargeBlocks: false,
        seed: 3);

    private static Gen<T> AnyOf<T>(params T[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    private static IEnumerable<MoePart> PartsOf(int tensorRanks, int expertRanks) =>
        Enumerable.Range(0, tensorRanks * expertRanks).Select(rank => MoePart.OfRank(rank, tensorRanks, expertRanks));

    private static bool HasParts(MoeLayerShape shape, (int Tensor, int Expert) ranks)
    {
        try
        {
            foreach (MoePart part in PartsOf(ranks.Tensor, ranks.Expert))
            {
                shape.Slice(part);
            }

            return true;
        }
        catch (MoeException exception) when (exception.Reason == MoeReason.Shape)
        {
            return false;
        }
    }

    private static void Check(
        MoeLayerShape shape, (int Tensor, int Expert) ranks, MoeRowOrder rowOrder, MoeMatrixOrder order, bool hasLargeBlocks, int seed)
    {
        const int Tokens = 5;
        using var random = new RandomLayer(shape, seed, order, rowOrder);
        MoeWeightSource source = random.Source;
        if (shape.WeightFormat == MoeWeightFormat.Fp8Block && hasLargeBlocks)
        {
            source = source with { GateUp = WithLargeBlocks(source.GateUp, seed), Down = WithLargeBlocks(source.Down, seed + 1) };
        }

        using MoeBuffer input = RandomInput.Create(Tokens, shape.HiddenSize, seed);
        OracleResult whole = MoeOracle.Compute(shape, source, input.View, cancellationToken: TestContext.Current.CancellationToken);
        double[][] sums = [.. Enumerable.Range(0, Tokens).Select(_ => new double[shape.HiddenSize])];
        foreach (MoePart part in PartsOf(ranks.Tensor, ranks.Expert))
        {
            OracleResult one = MoeOracle.Compute(
                shape.Slice(part), source.Slice(shape, part), input.View, cancellationToken: TestContext.Current.CancellationToken);
            for (int token = 0; token < Tokens; token++)
            {
                ReadOnlySpan<double> output = one.Output(token).Span;
                for (int i = 0; i < output.Length; i++)
                {
                    sums[token][i] += output[i];
                }
            }
        }

        for (int token = 0; token < Tokens; token++)
        {
            double[] expected = whole.Output(token).ToArray();
            double largest = expected.Max(Math.Abs);
            Assert.True(largest > 0);
            for (int i = 0; i < expected.Length; i++)
            {
                Assert.Equal(expected[i], sums[token][i], RelativeError * largest);
            }
        }
    }

    /// <summary>Other scales for the same values: one for 128 by 128 of them.</summary>
    private static MoeExpertMatrix WithLargeBlocks(MoeExpertMatrix matrix, int seed)
    {
        const int Block = 128;
        var random = new Random(seed);
        int rows = (matrix.Values.Rows + Block - 1) / Block;
        int columns = (matrix.Values.Columns + Block - 1) / Block;
        return matrix with
        {
            Scales = MoeStoredTensor.Stack(
                [.. Enumerable.Range(0, matrix.Values.Planes).Select(_ => MoeStoredTensor.FromArray(Scales(random, rows * columns), rows, columns))]),
            ScaleRows = Block,
            ScaleColumns = Block,
            Up = matrix.Up is null ? null : WithLargeBlocks(matrix.Up, seed + 100),
        };
    }

    private static float[] Scales(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => 0.01f + (0.1f * random.NextSingle()))];
}
