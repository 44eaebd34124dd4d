using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>Ranks that have parts of a layer compute what one device computes.</summary>
public sealed class PartLayerTests
{
    private const int MaxTokens = 12;

    private static readonly MoeLayerShape Shape = new()
    {
        HiddenSize = 96,
        IntermediateSize = 288,
        ExpertCount = 6,
        TopK = 2,
        Shared = new MoeSharedExperts
        {
            IntermediateSize = 128,
            HasGate = true,
            WeightFormat = MoeWeightFormat.BFloat16,
            Activation = MoeActivation.SiluGated,
        },
    };

    public static TheoryData<int, int, MoeElementType> AnyParts
    {
        get
        {
            var data = new TheoryData<int, int, MoeElementType>();
            foreach ((int tensor, int expert) in new[] { (2, 1), (3, 1), (5, 1), (1, 2), (1, 3), (2, 2) })
            {
                data.Add(tensor, expert, MoeElementType.Float32);
                data.Add(tensor, expert, MoeElementType.BFloat16);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(AnyParts))]
    public void All_ranks_have_equal_bits_and_they_are_the_oracle_s(int tensorRanks, int expertRanks, MoeElementType type)
    {
        using var weights = new RandomLayer(Shape, seed: 31);
        int ranks = tensorRanks * expertRanks;
        using IMoeGroup group = CreateGroup(ranks, type);
        int[] batches = [1, MaxTokens, 0, 5];
        var bits = new byte[ranks][][];
        RankThreads.RunAll(group, member =>
        {
            using MoeLayer layer = CreateLayer(weights, MoePart.OfRank(member.Rank, tensorRanks, expertRanks), type);
            using MoeForwardState state = layer.CreateState(member);
            bits[member.Rank] = [.. batches.Select(tokens =>
            {
                using MoeBuffer input = RandomInput.Create(tokens, Shape.HiddenSize, seed: tokens);
                using var output = new GuardedTensor(type, tokens, Shape.HiddenSize);
                layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });
                output.CheckGuards();
                return output.ToArray<byte>();
            })];
        });

        Assert.All(bits, others => Assert.Equal(bits[0], others));
        for (int i = 0; i < batches.Length; i++)
        {
            using MoeBuffer input = RandomInput.Create(batches[i], Shape.HiddenSize, seed: batches[i]);
            using MoeBuffer output = MoeBuffer.OnHost(type, batches[i], Shape.HiddenSize);
            output.CopyFromBytes(bits[0][i]);
            OracleResult expected = MoeOracle.Compute(Shape, weights.Source, input.View, cancellationToken: TestContext.Current.CancellationToken);
            Assert.True(batches[i] == 0 || TensorDifference.Measure(output.View, expected).RelativeError < Tolerance.Of(type));
        }
    }

    [Theory]
    [InlineData(2, 1)]
    [InlineData(1, 3)]
    [InlineData(2, 2)]
    public void Each_rank_gets_the_sums_of_its_own_tokens(int tensorRanks, int expertRanks)
    {
        using var weights = new RandomLayer(Shape, seed: 37);
        int ranks = tensorRanks * expertRanks;
        using IMoeGroup group = CreateGroup(ranks, MoeElementType.Float32, ranks * MaxTokens);
        RankThreads.RunAll(group, member =>
        {
            using MoeLayer layer = CreateLayer(
                weights, MoePart.OfRank(member.Rank, tensorRanks, expertRanks), MoeElementType.Float32, dispatchTokens: true);
            using MoeForwardState state = layer.CreateState(member);
            foreach (int tokens in new[] { 3, MaxTokens, 0, 1 })
            {
                using MoeBuffer input = RandomInput.Create(tokens, Shape.HiddenSize, seed: 100 + member.Rank);
                using var output = new GuardedTensor(MoeElementType.Float32, tokens, Shape.HiddenSize);
                using MoeBuffer ids = MoeBuffer.OnHost(MoeElementType.Int32, tokens, Shape.TopK);
                using MoeBuffer scales = MoeBuffer.OnHost(MoeElementType.Float32, tokens, Shape.TopK);
                var call = new MoeLayerCall { Input = input.View, Output = output.View, TopKIds = ids.View, TopKWeights = scales.View };
                layer.Forward(state, call);
                RequireOracle(input, output);

                // The same routing, handed in by the caller.
                using var again = new GuardedTensor(MoeElementType.Float32, tokens, Shape.HiddenSize);
                layer.Forward(state, call with { Output = again.View, Routing = MoeRoutingSource.Caller });
                RequireOracle(input, again);
            }
        });

        void RequireOracle(MoeBuffer input, GuardedTensor output)
        {
            output.CheckGuards();
            OracleResult expected = MoeOracle.Compute(Shape, weights.Source, input.View);
            Assert.True(input.View.Rows == 0 || TensorDifference.Measure(output.View, expected).RelativeError < Tolerance.Of(MoeElementType.Float32));
        }
    }

    public static TheoryData<int, int, MoeElementType, bool> ExpertParts => new()
    {
        { 1, 2, MoeElementType.Float32, false },
        { 1, 3, MoeElementType.Float32, false },
        { 1, 4, MoeElementType.BFloat16, false },
        { 2, 2, MoeElementType.Float32, false },
        { 1, 8, MoeElementType.BFloat16, false },
        { 2, 4, MoeElementType.Float32, false },
        { 1, 4, MoeElementType.Float32, true },
    };

    /// <summary>Rows that stay away change no bit, whether the caller or the layer routes.</summary>
    [Theory]
    [MemberData(nameof(ExpertParts))]
    public void Tokens_that_go_only_to_ranks_with_their_experts_give_the_bits_of_those_that_go_everywhere(
        int tensorRanks, int expertRanks, MoeElementType type, bool isLatent)
    {
        MoeLayerShape shape = Shape with { ExpertCount = 15, Shared = null, Latent = isLatent ? new() { Width = 64 } : null };
        LeftOutTokens.Run(CpuHost.Shared, "Cpu", "Cpu", [.. Enumerable.Repeat(MoeDevice.Cpu, tensorRanks * expertRanks)], tensorRanks, shape, type);
    }

    /// <summary><c>MOE_GROUP_CALLS</c> asks for more.</summary>
    [Fact]
    public void Many_forwards_of_random_tokens_are_right_every_time() =>
        RandomForwards.Run(CpuHost.Shared, "Cpu", "Cpu", [.. Enumerable.Repeat(MoeDevice.Cpu, 4)], Shape, MoeElementType.Float32);

    [Fact]
    public void The_residual_and_the_norm_come_with_the_reduction()
    {
        const int Tokens = 7;
        const int Ranks = 3;
        using var weights = new RandomLayer(Shape, seed: 32);
        using MoeBuffer input = RandomInput.Create(Tokens, Shape.HiddenSize, seed: 33);
        using MoeBuffer residual = Groups.Numbers(Tokens, MoeElementType.Float32, seed: 34, Shape.HiddenSize);
        using MoeBuffer scale = Groups.Numbers(1, MoeElementType.Float32, seed: 35, Shape.HiddenSize);
        OracleResult layerAlone = MoeOracle.Compute(Shape, weights.Source, input.View, cancellationToken: TestContext.Current.CancellationToken);
        double[] added = [.. Enumerable.Range(0, Tokens).SelectMany(token => layerAlone.Output(token).ToArray())
            .Zip(Groups.Values(residual.View), (one, other) => one + other)];
        double[] normed = [.. added.Chunk(Shape.HiddenSize).SelectMany(row =>
            row.Zip(Groups.Values(scale.View), (value, factor) => value / Math.Sqrt(row.Average(other => other * other) + 1e-5) * factor))];
        using IMoeGroup group = CreateGroup(Ranks, MoeElementType.Float32);
        RankThreads.RunAll(group, member =>
        {
            using MoeLayer layer = CreateLayer(weights, MoePart.OfRank(member.Rank, Ranks, 1), MoeElementType.Float32);
            using MoeForwardState state = layer.CreateState(member);
            using GuardedTensor stream = GuardedTensor.CopyOf(residual.View, MoeElementType.Float32);
            using var output = new GuardedTensor(MoeElementType.Float32, Tokens, Shape.HiddenSize);
            layer.Forward(state, new MoeLayerCall
            {
                Input = input.View,
                Output = output.View,
                AddNorm = new MoeAddNorm { NormWeight = scale.View, Epsilon = 1e-5f, Residual = stream.View, ResidualOutput = stream.View },
            });
            output.CheckGuards();
            stream.CheckGuards();
            Groups.Near(added, Groups.Values(stream.View), 1e-4);
            Groups.Near(normed, Groups.Values(output.View), 1e-4);
        });
    }

    [Fact]
    public void Layers_go_on_in_a_new_group()
    {
        const int Ranks = 2;
        using var weights = new RandomLayer(Shape, seed: 36);
        MoeLayer[] layers = [.. Enumerable.Range(0, Ranks).Select(rank => CreateLayer(weights, MoePart.OfRank(rank, Ranks, 1), MoeElementType.Float32))];
        try
        {
            using (IMoeGroup group = CreateGroup(Ranks, MoeElementType.Float32))
            {
                Exception?[] errors = RankThreads.Run(group, member => Forward(layers[member.Rank], member, tokens: 1 + member.Rank));
                Assert.All(errors, error => Assert.Equal(MoeReason.ContractBroken, Assert.IsType<MoeException>(error).Reason));
            }

            using IMoeGroup next = CreateGroup(Ranks, MoeElementType.Float32);
            RankThreads.RunAll(next, member => Forward(layers[member.Rank], member, tokens: 3));
        }
        finally
        {
            Array.ForEach(layers, layer => layer.Dispose());
        }
    }

    private static void Forward(MoeLayer layer, IMoeCommunicator member, int tokens)
    {
        using MoeForwardState state = layer.CreateState(member);
        using MoeBuffer input = RandomInput.Create(tokens, Shape.HiddenSize, seed: 1);
        using MoeBuffer output = MoeBuffer.OnHost(MoeElementType.Float32, tokens, Shape.HiddenSize);
        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });
    }

    private static IMoeGroup CreateGroup(int ranks, MoeElementType type, int maxTokens = MaxTokens) => CpuHost.Shared.CreateGroup(new MoeGroupRequest
    {
        Devices = [.. Enumerable.Repeat(MoeDevice.Cpu, ranks)],
        MaxTokens = maxTokens,
        Width = Shape.HiddenSize,
        ElementType = type,
    });

    private static MoeLayer CreateLayer(RandomLayer weights, MoePart part, MoeElementType outputType, bool dispatchTokens = false) => CpuHost.Shared.CreateLayer(
        new MoeLayerRequest
        {
            Shape = Shape,
            Options = new MoeLayerOptions { MaxTokens = MaxTokens, OutputType = outputType, Part = part, DispatchTokens = dispatchTokens },
        },
        weights.Source);
}
