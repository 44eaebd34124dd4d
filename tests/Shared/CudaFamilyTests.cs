using Moe.Plugins.Conformance;

namespace Moe.Plugins.Tests;

/// <summary>Layers of every family's kind on a CUDA backend: random programs, activations, formats, shared and latent experts, and parts.</summary>
public abstract class CudaFamilyTests
{
    private static readonly MoeRouter Sigmoid = new() { Score = MoeRouterScore.Sigmoid, HasSelectionBias = true, Renormalize = true };

    /// <summary>Routers as models have them, with their numbers of experts and choices.</summary>
    private static readonly (int Experts, int TopK, MoeRouter Router)[] Routers =
    [
        (16, 4, MoeRouter.TopKThenSoftmax with { HasLogitBias = true }),
        (64, 8, MoeRouter.SoftmaxThenTopK),
        (256, 8, MoeRouter.SoftmaxThenTopKRenormalized),
        (160, 6, new() { GroupCount = 8, TopGroups = 3, GroupRule = MoeGroupRule.Max, Scale = 16 }),
        (256, 8, Sigmoid with { GroupCount = 8, TopGroups = 4, Epsilon = 1e-20f, Scale = 2.5f }),
        (896, 16, Sigmoid),
        (512, 22, Sigmoid with { Scale = 5 }),
        (32, 4, Sigmoid with { HasLogitBias = true, Epsilon = 1e-6f }),
        (1000, 32, MoeRouter.TopKThenSoftmax),
        (96, 6, Sigmoid with { Score = MoeRouterScore.SqrtSoftplus, Scale = 1.5f }),
        (96, 6, new() { Score = MoeRouterScore.SqrtSoftplus, Renormalize = true, Choice = MoeRouterChoice.TokenTable, Scale = 1.5f }),
        (64, 6, new() { HasSelectionBias = true, Renormalize = true, Epsilon = 1e-12f, EpsilonIsFloor = true }),
        (16, 1, new() { Score = MoeRouterScore.Sigmoid, WeightOn = MoeWeightOn.Input }),
        (24, 3, new() { Score = MoeRouterScore.Sigmoid, WeightOn = MoeWeightOn.Input, GroupCount = 3, TopGroups = 2 }),
    ];

    private static readonly int[] Tokens = [1, 3, 8, 20, 70, 300];

    public static TheoryData<int> Seeds => [.. Enumerable.Range(0, 70)];

    public static TheoryData<MoeWeightFormat> EveryFormat => [.. Enum.GetValues<MoeWeightFormat>()];

    public static TheoryData<string> Families => [.. FamilyGolden.Names];

    private protected abstract CudaHost Host { get; }

    /// <summary>Formats of the routed experts.</summary>
    private protected abstract IReadOnlyList<MoeWeightFormat> Formats { get; }

    /// <summary>How the oracle rounds the routed experts' activations, and the relative error against that; null for exact, and what the method promises.</summary>
    private protected virtual (OracleActivations Activations, double Tolerance)? Rounding => null;

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Any_layer_is_the_oracles(int seed)
    {
        Host.RequireDevice();
        var random = new Random(seed);
        (int experts, int topK, MoeRouter router) = Routers[seed % Routers.Length];
        MoeWeightFormat[] all = Enum.GetValues<MoeWeightFormat>();
        var shape = new MoeLayerShape
        {
            HiddenSize = 32 * random.Next(1, 9),
            IntermediateSize = 32 * random.Next(2, 9),
            ExpertCount = experts,
            TopK = topK,
            Router = router,
            WeightFormat = Pick(Formats),
            Activation = Pick(EveryActivation.Values),
            HasExpertBias = random.Next(2) == 0,
            Shared = random.Next(2) == 0 ? null : new()
            {
                IntermediateSize = 32 * random.Next(1, 9),
                WeightFormat = Pick(all),
                Activation = Pick(EveryActivation.Values),
                HasGate = random.Next(2) == 0,
            },
            Latent = random.Next(3) != 0 ? null : new()
            {
                Width = 32 * random.Next(1, 5),
                WeightFormat = Pick(all),
                NormEpsilon = random.Next(2) == 0 ? null : 1e-5f,
            },
        };
        MoePart part = shape.Latent?.NormEpsilon is null && random.Next(3) == 0 ? MoePart.OfRank(random.Next(4), 2, 2) : MoePart.Whole;
        Check(shape, part, Pick(Tokens), seed);

        T Pick<T>(IReadOnlyList<T> values) => values[random.Next(values.Count)];
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void A_golden_familys_layer_is_what_transformers_computes(string family)
    {
        Host.RequireDevice();
        using FamilyGolden golden = FamilyGolden.Open(family);
        MoeCandidate candidate = Host.Candidate(golden.Layer.Shape);
        Assert.SkipUnless(candidate.Device is not null, candidate.Message);
        using SparseMixer? mixer = golden.Layer.CallerRoutes is null ? null : new SparseMixer(golden);
        using MoeLayer layer = Host.CreateLayer(golden.Layer.Shape, golden.Layer.Source, golden.Input.Rows);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = mixer is null
            ? DeviceRun.Run(layer, state, golden.Input)
            : DeviceRun.Run(layer, state, golden.Input, mixer.Ids, mixer.Weights);
        double error = TensorDifference.Measure(run.Output.View, golden.Expected).RelativeError;
        TestContext.Current.TestOutputHelper!.WriteLine($"{family}: {error:e2}");
        Assert.True(error <= layer.Method.Numerics.RelativeError, $"relative error {error:0.0e0}");
    }

    [Fact]
    public void Four_parts_sum_to_the_layer()
    {
        Host.RequireDevice();
        var shape = new MoeLayerShape
        {
            HiddenSize = 192,
            IntermediateSize = 160,
            ExpertCount = 21,
            TopK = 5,
            Router = Sigmoid,
            Shared = new() { IntermediateSize = 96, WeightFormat = MoeWeightFormat.BFloat16, Activation = MoeActivation.SiluGated, HasGate = true },
        };
        using var random = new RandomLayer(shape, seed: 3);
        using MoeBuffer input = RandomInput.Create(40, shape.HiddenSize, seed: 3);
        double[] sum = new double[40 * shape.HiddenSize];
        for (int rank = 0; rank < 4; rank++)
        {
            var options = new MoeLayerOptions { MaxTokens = 40, OutputType = MoeElementType.Float32, Part = MoePart.OfRank(rank, 2, 2) };
            using MoeLayer layer = Host.CreateLayer(shape, random.Source, options);
            using MoeForwardState state = layer.CreateState();
            using DeviceRun run = DeviceRun.Run(layer, state, input.View);
            float[] values = run.Output.ToSingles();
            for (int i = 0; i < sum.Length; i++)
            {
                sum[i] += values[i];
            }
        }

        OracleResult whole = MoeOracle.Compute(shape, random.Source, input.View, cancellationToken: TestContext.Current.CancellationToken);
        using MoeBuffer summed = MoeBuffer.OnHost(MoeElementType.Float32, 40, shape.HiddenSize);
        summed.CopyFrom([.. sum.Select(value => (float)value)]);
        double promised = Host.CreateLayer(shape, random.Source, 40).Method.Numerics.RelativeError;
        double error = TensorDifference.Measure(summed.View, whole).RelativeError;
        Assert.True(error <= 2 * promised, $"relative error {error:0.0e0}");
    }

    /// <summary>
    /// Shared experts run beside the router, in the launch of few tokens' routed experts or on a stream of their own, and a latent projection beside both:
    /// behind other forwards and on streams that take multiprocessors from each other, and bit for bit each time.
    /// </summary>
    [Theory]
    [InlineData(1056, 96, 256, 8, 512, true, MoeWeightFormat.BFloat16, 0)]
    [InlineData(1056, 96, 16, 2, 96, false, MoeWeightFormat.BFloat16, 0)]
    [InlineData(1056, 96, 40, 4, 96, true, MoeWeightFormat.Mxfp4, 0)]
    [InlineData(1056, 96, 64, 6, 2080, false, MoeWeightFormat.Fp8Block, 0)]
    [InlineData(1056, 96, 64, 6, 160, true, MoeWeightFormat.BFloat16, 352)]
    [InlineData(1056, 96, 256, 22, 0, false, MoeWeightFormat.BFloat16, 96)]
    [InlineData(1088, 512, 16, 2, 192, true, MoeWeightFormat.BFloat16, 0)]
    [InlineData(1088, 512, 40, 2, 320, false, MoeWeightFormat.Fp8Block, 0)]
    [InlineData(1088, 512, 40, 3, 1024, true, MoeWeightFormat.Nvfp4, 0)]
    [InlineData(1088, 512, 64, 22, 1088, false, MoeWeightFormat.BFloat16, 192)]
    public void Shared_experts_beside_the_others_do_not_depend_on_the_moment(
        int hidden, int width, int experts, int topK, int intermediate, bool hasGate, MoeWeightFormat format, int latent)
    {
        Host.RequireDevice();
        var shape = new MoeLayerShape
        {
            HiddenSize = hidden,
            IntermediateSize = width,
            ExpertCount = experts,
            TopK = topK,
            Router = Sigmoid,
            Activation = MoeActivation.SiluGated,
            Shared = intermediate == 0
                ? null
                : new() { IntermediateSize = intermediate, WeightFormat = format, Activation = MoeActivation.SiluGated, HasGate = hasGate },
            Latent = latent == 0 ? null : new() { Width = latent, NormEpsilon = hasGate ? 1e-5f : null },
        };
        using var random = new RandomLayer(shape, seed: experts);
        using MoeLayer layer = Host.CreateLayer(shape, random.Source, 512);
        LayerChecks.RepeatsBitForBit(layer, 1, 31, 512);
        LayerChecks.RunsBehindItself(layer);
        LayerChecks.RunsOnStreamsAtOnce(layer, random.Source, streams: 6, step: 31, tolerance: 2 * layer.Method.Numerics.RelativeError);
        LayerChecks.FollowsTheCallersRouting(layer, 5);
        LayerChecks.FollowsTheCallersRouting(layer, 20);
        LayerChecks.AllocatesNothing(layer);
    }

    /// <summary>What rounding weights to BF16 cost is the worst of a layer's three networks; MXFP4, BF16 and NVFP4 are kept exactly.</summary>
    [Theory]
    [MemberData(nameof(EveryFormat))]
    public void What_rounding_weights_cost_is_what_float64_says(MoeWeightFormat format)
    {
        Host.RequireDevice();
        var shape = new MoeLayerShape
        {
            HiddenSize = 192,
            IntermediateSize = 160,
            ExpertCount = 5,
            TopK = 2,
            WeightFormat = Formats.Contains(format) ? format : Formats[0],
            Activation = MoeActivation.SiluGated,
            Shared = new() { IntermediateSize = 96, WeightFormat = format, Activation = MoeActivation.SiluGated },
            Latent = new() { Width = 64, WeightFormat = format },
        };
        using var random = new RandomLayer(shape, seed: 8, rowOrder: MoeRowOrder.Separate);
        using MoeLayer layer = Host.CreateLayer(shape, random.Source, 4);
        RandomTensors tensors = random.Tensors;
        double expected = Math.Max(
            StoredWeights.ErrorInBFloat16(tensors.GateUp, tensors.Down, shape.WeightFormat),
            Math.Max(
                StoredWeights.ErrorInBFloat16(tensors.SharedGateUp!, tensors.SharedDown!, format),
                StoredWeights.ErrorInBFloat16(tensors.LatentDown!, tensors.LatentUp!, format)));
        Assert.Equal(expected, layer.WeightRoundingError, 1e-5 * expected);
    }

    private void Check(MoeLayerShape shape, MoePart part, int tokens, int seed)
    {
        using var random = new RandomLayer(shape, seed, rowOrder: (MoeRowOrder)(seed % 3));
        using MoeBuffer input = RandomInput.Create(tokens, shape.HiddenSize, seed);
        using MoeBuffer tokenIds = MoeBuffer.OnHost(MoeElementType.Int32, tokens, 1);
        tokenIds.CopyFrom([.. Enumerable.Range(0, tokens).Select(token => (token * 7) % RandomLayer.VocabularySize)]);
        using MoeLayer layer = Host.CreateLayer(shape, random.Source, new MoeLayerOptions { MaxTokens = tokens, Part = part });
        using MoeForwardState state = layer.CreateState();
        MoeWeightSource source = random.Source.Slice(shape, part);
        for (int i = 0; i < 2; i++)
        {
            bool hasTable = shape.Router.Choice == MoeRouterChoice.TokenTable;
            using DeviceRun run = DeviceRun.Run(layer, state, input.View, tokenIds: hasTable ? tokenIds.View : default);

            // Networks may nearly cancel; what a method promises is of whole layers of one kind.
            run.AssertAgrees(layer, source, input.View, tolerance: 2 * layer.Method.Numerics.RelativeError);

            // Values that are rounded twice, to BF16 before MXFP8, are not where the oracle has them.
            if (Rounding is { } rounding && shape.Latent is null && shape.Router.WeightOn == MoeWeightOn.Output)
            {
                run.AssertAgrees(layer, source, input.View, rounding.Activations, 2 * rounding.Tolerance);
            }
        }
    }
}
