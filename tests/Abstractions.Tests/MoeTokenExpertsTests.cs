using Moq;

namespace Moe.Plugins.Abstractions.Tests;

/// <summary>A call that says which experts its tokens go to is checked, and is another one than a call that does not.</summary>
public sealed class MoeTokenExpertsTests : IDisposable
{
    private const int Ranks = 4;
    private const int Rows = 3;
    private const int Width = 8;

    private readonly MoeBuffer _lent = MoeBuffer.OnHost(MoeElementType.Float32, Ranks * Rows, Width);
    private readonly MoeBuffer _input = MoeBuffer.OnHost(MoeElementType.Float32, Rows, Width);
    private readonly MoeBuffer _output = MoeBuffer.OnHost(MoeElementType.Float32, Ranks * Rows, Width);
    private readonly MoeBuffer _ids = MoeBuffer.OnHost(MoeElementType.Int32, Ranks * Rows, 2);

    public void Dispose() => Array.ForEach([_lent, _input, _output, _ids], buffer => buffer.Dispose());

    [Theory]
    [InlineData(7, 4, 1, 2)]
    [InlineData(8, 4, 1, 2)]
    [InlineData(8, 4, 2, 4)]
    [InlineData(8, 4, 4, 8)]
    [InlineData(0, 4, 1, 0)]
    public void Each_rank_but_the_last_has_the_same_number_of_experts(int experts, int ranks, int tensorCount, int each)
    {
        Assert.Equal(each, new MoeTokenExperts { Ids = _ids.View, ExpertCount = experts, TensorCount = tensorCount }.ExpertsOfRank(ranks));
        for (int rank = 0; rank < ranks && experts >= ranks; rank++)
        {
            MoeLayerShape part = MoeLayerShape.GptOss20B with { ExpertCount = experts };
            Assert.Equal(rank / tensorCount * each, part.Slice(MoePart.OfRank(rank, tensorCount, ranks / tensorCount)).FirstExpert);
        }
    }

    [Fact]
    public void Fewer_ranks_than_share_an_expert_are_none() => Assert.Throws<ArgumentOutOfRangeException>(
        () => new MoeTokenExperts { Ids = default, ExpertCount = 8, TensorCount = 2 }.ExpertsOfRank(1));

    [Fact]
    public void A_call_says_which_experts_it_is_of()
    {
        MoeGroupCall all = Gather(default);
        MoeGroupCall some = Gather(Experts(_ids.View));

        Assert.NotEqual(all, some);
        Assert.Equal((0, 0, 0), (all.TopK, all.ExpertCount, all.TensorCount));
        Assert.Equal((2, 16, 2), (some.TopK, some.ExpertCount, some.TensorCount));
        Assert.Contains("to 2 of 16 experts", some.ToString(), StringComparison.Ordinal);
        Assert.Equal((2, 16, 2), Scatter(Experts(_ids.View)) is var scatter ? (scatter.TopK, scatter.ExpertCount, scatter.TensorCount) : default);
    }

    [Fact]
    public void Ids_that_are_not_those_of_all_tokens_are_refused()
    {
        MoeTokenExperts[] wrong =
        [
            Experts(_ids.View.FirstRows(Rows)),
            Experts(_output.View),
            Experts(_ids.View) with { ExpertCount = 0 },
            Experts(_ids.View) with { TensorCount = 3 },
            Experts(_ids.View) with { TensorCount = 0 },
        ];

        Assert.All(wrong, experts =>
        {
            Assert.Throws<ArgumentException>(() => Gather(experts));
            Assert.Throws<ArgumentException>(() => Scatter(experts));
        });
    }

    private static MoeTokenExperts Experts(MoeTensorView ids) => new() { Ids = ids, ExpertCount = 16, TensorCount = 2 };

    private MoeGroupCall Gather(MoeTokenExperts experts) => MoeGroupCall.AllGather(
        Member(), new MoePartialBuffer(_lent.View), new MoeGatherArguments { Input = _input.View, Output = _output.View, Experts = experts });

    private MoeGroupCall Scatter(MoeTokenExperts experts)
    {
        var lent = new MoePartialBuffer(_lent.View);
        return MoeGroupCall.ReduceScatter(
            Member(), lent, new MoeReduceArguments { Partial = lent.Lend(Ranks * Rows), Output = _output.View.FirstRows(Rows), Experts = experts });
    }

    private static IMoeCommunicator Member()
    {
        var member = new Mock<IMoeCommunicator>();
        member.SetupGet(m => m.Count).Returns(Ranks);
        member.SetupGet(m => m.Device).Returns(MoeDevice.Cpu);
        member.SetupGet(m => m.Request).Returns(new MoeGroupRequest
        {
            Devices = [.. Enumerable.Repeat(MoeDevice.Cpu, Ranks)],
            MaxTokens = Ranks * Rows,
            Width = Width,
            ElementType = MoeElementType.Float32,
        });
        return member.Object;
    }
}
