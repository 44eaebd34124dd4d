using System.Globalization;
using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>The choice of experts of any program, the device's own code on a model of a warp, against the oracle.</summary>
public sealed unsafe class RouterProgramTests
{
    private const int Hidden = 8;

    private const string Exports =
        """
        #include "routing/router_program.cuh"
        extern "C" void run(const float* logits, int tokens, int experts, int top_k, const float* bias, const int* table, const int* token_ids, int* ids, float* weights)
        {
            const RouterProgram program = {PROGRAM};
            RouterParameters p = {};
            p.ids = ids, p.weights = weights, p.tokens = tokens, p.experts = experts, p.top_k = top_k;
            for (int token = 0; token < tokens; token++)
            {
                run_block(32, [=] {
                    float mine[SLOTS];
                    for (int j = 0; j < SLOTS; j++)
                    {
                        const int expert = j * 32 + threadIdx.x;
                        mine[j] = expert < experts ? logits[token * experts + expert] : 7e7f;
                    }

                    u32 keys[SLOTS];
                    CHOICE.fetch(keys);
                    CHOICE.choose(p, token, mine, keys);
                });
            }
        }
        """;

    public static TheoryData<string, int, int, int> Programs()
    {
        var data = new TheoryData<string, int, int, int>();
        foreach (string name in RouterPrograms.Keys)
        {
            data.Add(name, 32, 4, 1);
            data.Add(name, 96, 8, 4);
        }

        data.Add("sigmoid, biased, top-2 groups, scaled", 256, 8, 8);
        data.Add("softmax, max groups, scaled", 160, 6, 8);
        data.Add("sigmoid, biased, top-2 groups, scaled", 896, 16, 1);
        data.Add("softmax of all, renormalised", 1024, 32, 32);
        return data;
    }

    private static readonly Dictionary<string, MoeRouter> RouterPrograms = new()
    {
        ["softmax of chosen"] = new() { Score = MoeRouterScore.Logit, Weights = MoeRouterWeights.SoftmaxOfChosen },
        ["softmax of all, renormalised"] = new() { Renormalize = true },
        ["softmax, max groups, scaled"] = new() { GroupCount = 8, TopGroups = 3, GroupRule = MoeGroupRule.Max, Scale = 16 },
        ["softmax, biased, floor"] = new() { HasSelectionBias = true, Renormalize = true, Epsilon = 0.3f, EpsilonIsFloor = true },
        ["sigmoid"] = new() { Score = MoeRouterScore.Sigmoid },
        ["sigmoid, biased, top-2 groups, scaled"] = new()
        {
            Score = MoeRouterScore.Sigmoid,
            HasSelectionBias = true,
            GroupCount = 8,
            TopGroups = 4,
            Renormalize = true,
            Epsilon = 1e-20f,
            Scale = 2.5f,
        },
        ["sqrt softplus, biased"] = new() { Score = MoeRouterScore.SqrtSoftplus, HasSelectionBias = true, Renormalize = true, Scale = 1.5f },
        ["sqrt softplus, softmax of chosen, epsilon"] = new()
        {
            Score = MoeRouterScore.SqrtSoftplus,
            Weights = MoeRouterWeights.SoftmaxOfChosen,
            Renormalize = true,
            Epsilon = 0.1f,
        },
        ["logits"] = new() { Score = MoeRouterScore.Logit, GroupCount = 4, TopGroups = 2 },
    };

    [Theory]
    [MemberData(nameof(Programs))]
    public void A_program_chooses_and_weighs_as_the_oracle_does(string name, int experts, int topK, int groups)
    {
        const int tokens = 6;
        MoeRouter router = RouterPrograms[name];
        router = router.GroupCount == 1 ? router : router with { GroupCount = groups, TopGroups = Math.Min(router.TopGroups, groups) };
        using Router layer = new(router, experts, topK, seed: experts);
        using MoeBuffer input = RandomInput.Create(tokens, Hidden, seed: topK);
        OracleResult oracle = MoeOracle.Compute(layer.Shape, layer.Source, input.View, cancellationToken: TestContext.Current.CancellationToken);
        (int[] ids, float[] weights) = layer.Run(layer.Logits(input.View), tokens);
        for (int token = 0; token < tokens; token++)
        {
            Assert.Equal(oracle.Routing.Ids(token).ToArray(), ids[(token * topK)..((token + 1) * topK)]);
            for (int k = 0; k < topK; k++)
            {
                double expected = oracle.Routing.Weights(token).Span[k];
                Assert.Equal(expected, weights[(token * topK) + k], 2e-6 * Math.Max(1, Math.Abs(expected)));
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Nan_comes_after_every_number_and_equal_logits_go_to_the_lowest_id(bool isPreset)
    {
        MoeRouter router = isPreset ? MoeRouter.TopKThenSoftmax : new() { Score = MoeRouterScore.Sigmoid, HasSelectionBias = true };
        using Router layer = new(router, experts: 70, topK: 6, seed: 1);
        float[] logits = [.. Enumerable.Repeat(float.NaN, 70)];
        logits[69] = float.NegativeInfinity;
        logits[40] = 1;
        logits[5] = 1;
        logits[33] = isPreset ? float.PositiveInfinity : 3;
        Array.Clear(layer.Bias);

        Assert.Equal([33, 5, 40, 69, 0, 1], layer.Run(logits, tokens: 1, isPreset).Ids);
    }

    [Theory]
    [InlineData(0f, false)]
    [InlineData(1e-6f, false)]
    [InlineData(1e-6f, true)]
    public void What_is_added_to_a_sum_that_vanishes_counts(float epsilon, bool isFloor)
    {
        var router = new MoeRouter { Score = MoeRouterScore.Sigmoid, Renormalize = true, Epsilon = epsilon, EpsilonIsFloor = isFloor };
        using Router layer = new(router, experts: 40, topK: 2, seed: 5);
        float[] logits = [.. Enumerable.Range(0, 40).Select(i => -15f - i)];
        (int[] ids, float[] weights) = layer.Run(logits, tokens: 1);
        double[] scores = [1 / (1 + Math.Exp(15)), 1 / (1 + Math.Exp(16))];

        Assert.Equal([0, 1], ids);
        Assert.Equal(scores[0] / router.Divisor(scores.Sum()), weights[0], 1e-5);
        Assert.Equal(scores[1] / router.Divisor(scores.Sum()), weights[1], 1e-5);
    }

    [Fact]
    public void Scores_that_are_zero_have_weights_of_zero_where_something_is_added_to_their_sum()
    {
        using Router layer = new(new() { Score = MoeRouterScore.Sigmoid, Renormalize = true, Epsilon = 1e-20f }, experts: 40, topK: 2, seed: 5);

        Assert.Equal([0, 0], layer.Run([.. Enumerable.Repeat(-200f, 40)], tokens: 1).Weights);
    }

    [Fact]
    public void A_group_that_is_left_out_never_wins_though_every_score_is_negative()
    {
        var router = new MoeRouter { Score = MoeRouterScore.Sigmoid, HasSelectionBias = true, GroupCount = 4, TopGroups = 2 };
        using Router layer = new(router, experts: 40, topK: 3, seed: 6);
        Array.Fill(layer.Bias, -2);
        float[] logits = [.. Enumerable.Repeat(-4f, 40)];
        (logits[3], logits[7], logits[25], logits[28]) = (3, 2, 1, 0);

        Assert.Equal([3, 7, 25], layer.Run(logits, tokens: 1).Ids);
    }

    [Fact]
    public void A_table_names_the_experts_and_a_token_beyond_it_goes_nowhere()
    {
        var router = new MoeRouter { Score = MoeRouterScore.SqrtSoftplus, Choice = MoeRouterChoice.TokenTable, Renormalize = true, Scale = 1.5f };
        using Router layer = new(router, experts: 40, topK: 3, seed: 4);
        float[] logits = [.. Enumerable.Range(0, 4 * 40).Select(i => (i % 13) - 6f)];
        int[] table = [3, 39, 7, 0, 1, 0];
        int[] tokenIds = [1, 0, 2, -1];
        (int[] ids, float[] weights) = layer.Run(logits, tokens: 4, isPreset: false, table, tokenIds);

        Assert.Equal("0 1 0 3 39 7 -1 -1 -1 -1 -1 -1", string.Join(' ', ids));
        Assert.Equal(new float[6], weights[6..]);
        double[] scores = [.. table[..3].Select(expert => Math.Sqrt(Math.Log(1 + Math.Exp(logits[40 + expert]))))];
        for (int k = 0; k < 3; k++)
        {
            Assert.Equal(1.5 * scores[k] / scores.Sum(), weights[3 + k], 1e-6);
        }
    }

    /// <summary>A router with a layer around it for the oracle, whose experts are as small as can be.</summary>
    private sealed class Router : IDisposable
    {
        private readonly RandomLayer _layer;

        public Router(MoeRouter router, int experts, int topK, int seed)
        {
            Shape = new MoeLayerShape
            {
                HiddenSize = Hidden,
                IntermediateSize = 1,
                ExpertCount = experts,
                TopK = topK,
                Router = router,
                WeightFormat = MoeWeightFormat.Float32,
                Activation = MoeActivation.SiluGated,
                HasExpertBias = false,
            };
            _layer = new RandomLayer(Shape, seed);
            Bias = new float[RoutingBuffers.MaxExperts];
            Source.SelectionBias?.ToSingles().CopyTo(Bias, 0);
        }

        public MoeLayerShape Shape { get; }

        public MoeWeightSource Source => _layer.Source;

        public float[] Bias { get; }

        public float[] Logits(MoeTensorView input)
        {
            float[] weight = Source.RouterWeight!.ToSingles();
            float[] logits = new float[input.Rows * Shape.ExpertCount];
            for (int i = 0; i < logits.Length; i++)
            {
                double sum = 0;
                for (int h = 0; h < Hidden; h++)
                {
                    ushort x = ((ushort*)input.RowAddress(i / Shape.ExpertCount))[h];
                    sum += (double)BitConverter.UInt32BitsToSingle((uint)x << 16) * weight[(i % Shape.ExpertCount * Hidden) + h];
                }

                logits[i] = (float)sum;
            }

            return logits;
        }

        public (int[] Ids, float[] Weights) Run(float[] logits, int tokens, bool isPreset = false, int[]? table = null, int[]? tokenIds = null)
        {
            int[] ids = new int[tokens * Shape.TopK];
            float[] weights = new float[ids.Length];
            string text = Exports
                .Replace("SLOTS", $"{(Shape.ExpertCount + 31) / 32}", StringComparison.Ordinal)
                .Replace("CHOICE", isPreset ? "PresetChoice()" : "ProgramChoice{program}", StringComparison.Ordinal)
                .Replace("PROGRAM", Program(Shape.Router, (table?.Length ?? 0) / Shape.TopK), StringComparison.Ordinal);
            using HostLibrary library = HostLibrary.CompileBlock("routing/router_program.cuh", text);
            var run = (delegate* unmanaged<float*, int, int, int, float*, int*, int*, int*, float*, void>)library.Export("run");
            fixed (float* l = logits, bias = Bias, w = weights)
            {
                fixed (int* i = ids, t = table, named = tokenIds)
                {
                    run(l, tokens, Shape.ExpertCount, Shape.TopK, bias, t, named, i, w);
                }
            }

            return (ids, weights);
        }

        public void Dispose() => _layer.Dispose();

        /// <summary>The fields of <c>RouterProgram</c>.</summary>
        private static string Program(MoeRouter router, int vocabulary)
        {
            string bias = router.HasSelectionBias ? "bias" : "nullptr";
            int divide = !router.Renormalize ? 0 : router.EpsilonIsFloor ? 2 : 1;
            int softmax = router.Weights == MoeRouterWeights.SoftmaxOfChosen ? 1 : 0;
            int best = router.GroupRule == MoeGroupRule.Max ? 1 : 0;
            return string.Create(
                CultureInfo.InvariantCulture,
                $"{bias}, table, token_ids, 1, {vocabulary}, {(int)router.Score}, {softmax}, {divide}, (float){router.Epsilon:e9}, (float){router.Scale:e9}, {router.GroupCount}, {router.TopGroups}, {best}");
        }
    }
}
