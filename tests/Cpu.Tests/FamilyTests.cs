using CsCheck;
using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>Layers of any router program, activation, format and order of weights, as the oracle computes them.</summary>
public sealed class FamilyTests
{
    private static readonly MoeWeightFormat[] Formats = Enum.GetValues<MoeWeightFormat>();

    private static readonly Gen<MoeRouter> Routers = Gen.Select(
        Gen.Enum<MoeRouterScore>(),
        Gen.Enum<MoeRouterWeights>(),
        Gen.Enum<MoeGroupRule>(),
        Gen.Enum<MoeWeightOn>(),
        Gen.Int[0, 15],
        Gen.Int[1, 4],
        (score, weights, rule, weightOn, flags, kept) => new MoeRouter
        {
            // A logit may be negative, and so may be a sum of logits that would be divided by.
            Score = score,
            Weights = weights,
            GroupRule = rule,
            WeightOn = weightOn,
            Renormalize = (flags & 1) != 0 && (score != MoeRouterScore.Logit || weights == MoeRouterWeights.SoftmaxOfChosen),
            Epsilon = (flags & 2) != 0 ? 1e-6f : 0,
            EpsilonIsFloor = (flags & 4) != 0,
            HasLogitBias = (flags & 2) != 0,
            HasSelectionBias = (flags & 8) != 0,
            Scale = (flags & 4) != 0 ? 2.5f : 1,
            GroupCount = (flags & 1) != 0 ? 4 : 1,
            TopGroups = (flags & 1) != 0 ? kept : 1,
        });

    private static readonly Gen<MoeLayerShape> Shapes = Gen.Select(
        Routers,
        Gen.Int[0, EveryActivation.Values.Length - 1],
        Gen.Int[0, Formats.Length - 1],
        Gen.Int[0, Formats.Length - 1],
        Gen.Int[1, 4],
        Gen.Int[1, 4],
        Gen.Int[0, 15],
        (router, activation, format, other, hidden, intermediate, flags) => new MoeLayerShape
        {
            HiddenSize = 32 * hidden,
            IntermediateSize = 32 * intermediate,
            ExpertCount = 16,
            TopK = 4,
            Router = router,
            WeightFormat = Formats[format],
            Activation = EveryActivation.Values[activation],
            HasExpertBias = (flags & 1) != 0,
            Shared = (flags & 2) == 0 ? null : new()
            {
                IntermediateSize = 64,
                WeightFormat = Formats[other],
                Activation = EveryActivation.Values[(activation + 1) % EveryActivation.Values.Length],
                HasGate = (flags & 1) == 0,
            },
            Latent = (flags & 12) == 0 ? null : new() { Width = 64, WeightFormat = Formats[other], NormEpsilon = (flags & 4) == 0 ? null : 1e-5f },
        });

    [Fact]
    public void Any_layer_is_the_oracle_s() => Gen
        .Select(Shapes, Gen.Enum<MoeRowOrder>(), Gen.Enum<MoeMatrixOrder>(), Gen.Int[1, 20], Gen.Int[0, 1000])
        .Sample((shape, rowOrder, order, tokens, seed) => Check(shape, rowOrder, order, tokens, seed), iter: 60, threads: 1);

    private static void Check(MoeLayerShape shape, MoeRowOrder rowOrder, MoeMatrixOrder order, int tokens, int seed)
    {
        using var random = new RandomLayer(shape, seed, order, rowOrder);
        using MoeBuffer input = RandomInput.Create(tokens, shape.HiddenSize, seed);
        using var layer = new CpuLayer(shape, random.Source);
        using CpuRun run = layer.Run(input.View);
        OracleResult expected = MoeOracle.Compute(shape, random.Source, input.View, cancellationToken: TestContext.Current.CancellationToken);
        for (int token = 0; token < tokens; token++)
        {
            Assert.Equal(expected.Routing.Ids(token).ToArray(), run.Ids.Row<int>(token).ToArray());
        }

        // Routed experts and shared ones may nearly cancel; the kit's tolerance is for whole layers of one kind.
        TensorDifference difference = TensorDifference.Measure(run.Output.View, expected);
        Assert.True(difference.RelativeError < 2 * Tolerance.Float32, $"{shape}: the relative error is {difference.RelativeError:g3}.");
    }
}
