using Moq;

namespace Moe.Plugins.Tests;

/// <summary>A part's forward writes into what the other ranks read, and reduces once.</summary>
public sealed class GroupForwardTests : IDisposable
{
    private static readonly MoeLayerOptions Options = TinyLayer.Options with { Part = MoePart.OfRank(1, 1, 2) };

    private readonly HostMemory _memory = new();
    private readonly List<string> _order = [];
    private readonly MoeBuffer _shared = MoeBuffer.OnHost(MoeElementType.Float32, 4, 5);
    private readonly Mock<IMoeCommunicator> _member;
    private MoeTensorView _reduced;

    public GroupForwardTests() => _member = Member();

    public void Dispose()
    {
        _shared.Dispose();
        _memory.Dispose();
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void The_method_runs_then_the_sums_are_reduced_once(bool skips, bool unpadded)
    {
        var method = new SkippingMethod(_memory, skips, unpadded) { DuringForward = () => _order.Add("forward") };
        using MoeLayer layer = Create(method);
        using MoeForwardState state = layer.CreateState(_member.Object);
        using Floats input = new Floats(3, 5).FillWithPlaces();
        using var output = new Floats(3, 5);

        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });

        Assert.Equal(["lend 3", "forward", "all-reduce"], _order);
        Assert.Equal(unpadded, method.Last.Output.Address == _shared.View.Address);
        Assert.Equal(unpadded ? 5 : 8, method.Last.Output.Columns);
        Assert.Equal((_shared.View.Address, 3, 5), (_reduced.Address, _reduced.Rows, _reduced.Columns));
        Assert.Equal([15, 515, 1015], Enumerable.Range(0, 3).Select(row => Floats.At(_reduced, row, 4)));
    }

    [Fact]
    public void A_residual_and_a_norm_come_in_the_same_reduction()
    {
        using MoeLayer layer = Create(new SkippingMethod(_memory, skips: true, unpadded: true));
        using MoeForwardState state = layer.CreateState(_member.Object);
        using Floats input = new Floats(2, 5).FillWithPlaces();
        using var output = new Floats(2, 5);
        using var residual = new Floats(2, 5);
        using var weight = new Floats(1, 5);
        var addNorm = new MoeAddNorm { NormWeight = weight.View, Epsilon = 1e-5f, Residual = residual.View, ResidualOutput = residual.View };

        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View, AddNorm = addNorm, Stream = 7 });

        _member.Verify(
            m => m.ReduceAddNorm(It.Is<MoeReduceAddNormArguments>(a => a.Output == output.View && a.AddNorm.Equals(addNorm) && a.Stream == 7)),
            Times.Once);
        _member.Verify(m => m.AllReduce(It.IsAny<MoeReduceArguments>()), Times.Never);
    }

    [Fact]
    public void No_tokens_are_a_reduction_like_any_other()
    {
        var method = new SkippingMethod(_memory, skips: true, unpadded: true);
        using MoeLayer layer = Create(method);
        using MoeForwardState state = layer.CreateState(_member.Object);

        layer.Forward(state, new MoeLayerCall { Input = default, Output = default });

        Assert.Equal(["lend 0", "all-reduce"], _order);
        Assert.Equal(0, method.ForwardCount);
    }

    [Fact]
    public void A_forward_that_fails_tells_the_other_ranks()
    {
        var method = new SkippingMethod(_memory, skips: true, unpadded: true) { DuringForward = () => throw new MoeException(MoeReason.DeviceFailed, "it burns") };
        using MoeLayer layer = Create(method);
        using MoeForwardState state = layer.CreateState(_member.Object);

        Assert.Equal(MoeReason.DeviceFailed, Assert.Throws<MoeException>(() => Forward(layer, state)).Reason);

        _member.Verify(m => m.Abort("it burns"), Times.Once);
        Assert.Equal(["lend 2"], _order);
    }

    [Fact]
    public void A_layer_outlives_its_group()
    {
        using MoeLayer layer = Create(new SkippingMethod(_memory, skips: true, unpadded: true));
        using MoeForwardState state = layer.CreateState(_member.Object);
        var ended = new MoeException(MoeReason.PeerFailed, "Rank 0 failed: on purpose");
        _member.Setup(m => m.AllReduce(It.IsAny<MoeReduceArguments>())).Throws(ended);

        Assert.Same(ended, Assert.Throws<MoeException>(() => Forward(layer, state)));
        Assert.Throws<InvalidOperationException>(() => Forward(layer, state));
        Assert.Null(layer.Failure);

        using MoeForwardState next = layer.CreateState(Member().Object);
        Forward(layer, next);
        Assert.Equal("all-reduce", _order[^1]);
    }

    [Theory]
    [InlineData(0, 2, 5, 4, MoeElementType.Float32, "rank 1 of 2, and the member is rank 0 of 2")]
    [InlineData(1, 4, 5, 4, MoeElementType.Float32, "rank 1 of 4")]
    [InlineData(1, 2, 8, 4, MoeElementType.Float32, "Width 8")]
    [InlineData(1, 2, 5, 3, MoeElementType.Float32, "MaxTokens is 4")]
    [InlineData(1, 2, 5, 4, MoeElementType.BFloat16, "OutputType is Float32")]
    public void A_member_that_does_not_fit_the_layer_is_refused(int rank, int count, int width, int maxTokens, MoeElementType type, string message)
    {
        using MoeLayer layer = Create(new SkippingMethod(_memory, skips: true, unpadded: true));
        Mock<IMoeCommunicator> member = Member();
        member.SetupGet(m => m.Rank).Returns(rank);
        member.SetupGet(m => m.Count).Returns(count);
        member.SetupGet(m => m.Request).Returns(new MoeGroupRequest { Devices = [], Width = width, MaxTokens = maxTokens, ElementType = type });

        MoeException error = Assert.Throws<MoeException>(() => layer.CreateState(member.Object));

        Assert.Equal(MoeReason.Configuration, error.Reason);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_norm_without_a_group_is_refused_before_anything_runs()
    {
        var method = new SkippingMethod(_memory, skips: true, unpadded: true);
        using MoeLayer layer = Create(method);
        using MoeForwardState state = layer.CreateState();
        using Floats input = new Floats(2, 5).FillWithPlaces();
        using var weight = new Floats(1, 5);

        Assert.Throws<ArgumentException>(() => layer.Forward(state, new MoeLayerCall
        {
            Input = input.View,
            Output = input.View,
            AddNorm = new MoeAddNorm { NormWeight = weight.View, Epsilon = 0 },
        }));
        Assert.Equal(0, method.ForwardCount);
    }

    [Fact]
    public void A_norm_of_another_width_is_refused_before_anything_runs()
    {
        var method = new SkippingMethod(_memory, skips: true, unpadded: true);
        using MoeLayer layer = Create(method);
        using MoeForwardState state = layer.CreateState(_member.Object);
        using Floats input = new Floats(2, 5).FillWithPlaces();
        using var weight = new Floats(1, 4);

        Assert.Throws<ArgumentException>(() => layer.Forward(state, new MoeLayerCall
        {
            Input = input.View,
            Output = input.View,
            AddNorm = new MoeAddNorm { NormWeight = weight.View, Epsilon = 0 },
        }));
        Assert.Empty(_order);
        Assert.Equal(0, method.ForwardCount);
    }

    private static MoeLayer Create(IMoeQuantMethod method, MoeLayerOptions? options = null) =>
        MoeLayer.Create(method, TinyLayer.Shape, TinyLayer.Weights, options ?? Options, cancellationToken: TestContext.Current.CancellationToken);

    private static void Forward(MoeLayer layer, MoeForwardState state)
    {
        using Floats input = new Floats(2, 5).FillWithPlaces();
        using var output = new Floats(2, 5);
        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });
    }

    private Mock<IMoeCommunicator> Member()
    {
        var partials = new MoePartialBuffer(_shared.View);
        var member = new Mock<IMoeCommunicator>();
        member.SetupGet(m => m.Rank).Returns(1);
        member.SetupGet(m => m.Count).Returns(2);
        member.SetupGet(m => m.Device).Returns(MoeDevice.Cpu);
        member.SetupGet(m => m.Request).Returns(
            new MoeGroupRequest { Devices = [MoeDevice.Cpu, MoeDevice.Cpu], Width = 5, MaxTokens = 4, ElementType = MoeElementType.Float32 });
        member.Setup(m => m.LendPartial(It.IsAny<int>())).Returns((int rows) => partials.Lend(rows)).Callback((int rows) => _order.Add($"lend {rows}"));
        member.Setup(m => m.AllReduce(It.IsAny<MoeReduceArguments>())).Callback((MoeReduceArguments arguments) =>
        {
            _reduced = arguments.Partial.Take();
            _order.Add("all-reduce");
        });
        return member;
    }
}
