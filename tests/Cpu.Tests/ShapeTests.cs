using CsCheck;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>The backend against the oracle on layers of any shape.</summary>
public sealed class ShapeTests
{
    private static readonly Gen<MoeLayerShape> AnyOptions = Gen.Select(
        Gen.OneOf(Gen.Int[4, 40], Gen.Int[4, 256]),
        Gen.Int[1, 8],
        Gen.Int[0, 2].Select(i => new[] { MoeRouter.TopKThenSoftmax, MoeRouter.SoftmaxThenTopK, MoeRouter.SoftmaxThenTopKRenormalized }[i]),
        Gen.Int[0, 2].Select(i => new[] { MoeActivation.SwiGluOai(), MoeActivation.SwiGluOai(1.3f, 0.75f), MoeActivation.SiluGated }[i]),
        Gen.Bool,
        Gen.Bool,
        (experts, topK, scoring, activation, routerBias, expertBias) => new MoeLayerShape
        {
            HiddenSize = 1,
            IntermediateSize = 1,
            WeightFormat = MoeWeightFormat.BFloat16,
            ExpertCount = experts,
            TopK = Math.Min(topK, experts),
            Router = scoring with { HasLogitBias = routerBias },
            Activation = activation,
            HasExpertBias = expertBias,
        });

    private static readonly Gen<MoeElementType> AnyType = Gen.Bool.Select(isWide => isWide ? MoeElementType.Float32 : MoeElementType.BFloat16);

    [Fact]
    public void Any_MXFP4_layer_is_the_oracle_s() => Gen
        .Select(AnyOptions, Gen.Int[1, 13], Gen.Int[1, 13], Gen.Int[0, 40], AnyType, AnyType, Gen.Int[0, 1000])
        .Sample(
            (options, hidden, intermediate, tokens, inputType, outputType, seed) => Check(
                options with { WeightFormat = MoeWeightFormat.Mxfp4, HiddenSize = 32 * hidden, IntermediateSize = 32 * intermediate },
                MoeMatrixOrder.OutputMajor,
                tokens,
                inputType,
                outputType,
                seed),
            iter: 24,
            threads: 1);

    [Fact]
    public void Any_BF16_layer_is_the_oracle_s() => Gen
        .Select(AnyOptions, Gen.Int[1, 80], Gen.Int[1, 80], Gen.Int[0, 40], AnyType, AnyType, Gen.Int[0, 1000], Gen.Enum<MoeMatrixOrder>())
        .Sample(
            (options, hidden, intermediate, tokens, inputType, outputType, seed, order) => Check(
                options with { HiddenSize = hidden, IntermediateSize = intermediate }, order, tokens, inputType, outputType, seed),
            iter: 40,
            threads: 1);

    internal static void Check(
        MoeLayerShape shape, MoeMatrixOrder order, int tokens, MoeElementType inputType, MoeElementType outputType, int seed)
    {
        using var random = new RandomLayer(shape, seed, order);
        using MoeBuffer input = RandomInput.Create(tokens, shape.HiddenSize, seed);
        using var layer = new CpuLayer(shape, random.Source, inputType, outputType);
        using CpuRun run = layer.Run(input.View);
        OracleResult expected = MoeOracle.Compute(
            shape, random.Source, input.View, cancellationToken: TestContext.Current.CancellationToken);
        run.CheckAgainst(expected, Tolerance.Of(outputType));
    }
}
