using Moq;

namespace Moe.Plugins.Tests;

/// <summary>
/// Each rank brings tokens of its own. What travels between ranks is as wide as the model; what the method is handed is as wide as the config
/// says, and lies in memory that holds it, whatever the method can skip and however wide the transport's own rows are.
/// </summary>
public sealed class DispatchTests : IDisposable
{
    private const int Ranks = 4;
    private const int Rank = 1;
    private const int Hidden = 5;
    private const int Padded = 8;

    private static readonly MoeLayerOptions Options = TinyLayer.Options with { Part = MoePart.OfRank(Rank, 1, Ranks), DispatchTokens = true };

    private readonly HostMemory _memory = new();
    private readonly List<string> _order = [];
    private readonly List<MoeGatherArguments> _gathered = [];
    private MoeReduceArguments _scattered;
    private readonly MoeBuffer _lent = MoeBuffer.OnHost(MoeElementType.Float32, Ranks * 4, 2 * Padded);

    public void Dispose()
    {
        _lent.Dispose();
        _memory.Dispose();
    }

    public static TheoryData<bool, bool, bool, bool> AnyWidths
    {
        get
        {
            var data = new TheoryData<bool, bool, bool, bool>();
            for (int bits = 0; bits < 16; bits++)
            {
                data.Add((bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(AnyWidths))]
    public void Every_buffer_is_as_wide_as_what_is_written_into_it(bool skips, bool unpadded, bool keepsWidth, bool isForced)
    {
        var method = new SkippingMethod(_memory, skips, unpadded) { DuringForward = () => _order.Add("forward") };
        Mock<IMoeCommunicator> member = Member(keepsWidth);
        using MoeLayer layer = Create(method, Options with { ForcePadding = isForced });
        using MoeForwardState state = layer.CreateState(member.Object);
        foreach (int tokens in new[] { 4, 1, 3 })
        {
            using Floats input = new Floats(tokens, Hidden, gap: 3).FillWithPlaces();
            using var output = new Floats(tokens, Hidden, gap: 3);
            _order.Clear();
            _gathered.Clear();

            layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });

            MoeForwardArguments last = method.Last;
            int rows = Ranks * tokens;
            Assert.Equal(["gather", $"lend {rows}", "forward", "reduce-scatter"], _order);

            // Between ranks: as wide as the model.
            Assert.Equal((Hidden, Hidden), (Assert.Single(_gathered).Input.Columns, _gathered[0].Output.Columns));
            Assert.Equal((rows, rows, rows), (_gathered[0].Output.Rows, last.Input.Rows, last.Output.Rows));

            // To the method: as the config says, and the weights are as wide.
            Assert.Equal(Padded, layer.Config.HiddenSize);
            Assert.Equal((layer.Config.InputWidth, layer.Config.OutputWidth), (last.Input.Columns, last.Output.Columns));
            Assert.Equal(skips && !isForced ? Hidden : Padded, last.Input.Columns);
            Assert.Equal(unpadded && !isForced ? Hidden : Padded, last.Output.Columns);
            Assert.Equal((Hidden, last.Input.Address), (last.RouterInput.Columns, last.RouterInput.Address));
            RequireRoom(last.Input, layer.Config);
            if (unpadded && !isForced)
            {
                Assert.Equal((_lent.View.Address, RowBytes(keepsWidth)), (last.Output.Address, last.Output.RowStride));
            }
            else
            {
                RequireRoom(last.Output, layer.Config);
            }

            // Garbage in the padding would be NaN in every sum; all ranks brought the same tokens.
            for (int token = 0; token < tokens; token++)
            {
                Assert.Equal((500 * token) + 15, output[token, Hidden - 1]);
            }

            Assert.True(input.GapIsUntouched() && output.GapIsUntouched());
        }
    }

    [Theory]
    [InlineData(MoeRoutingSource.Router)]
    [InlineData(MoeRoutingSource.Caller)]
    public void Routing_travels_with_the_tokens_and_comes_back_to_them(MoeRoutingSource routing)
    {
        const int Tokens = 2;
        RecordingMethod? method = null;
        method = new SkippingMethod(_memory, skips: true, unpadded: true)
        {
            DuringForward = () =>
            {
                for (int row = 0; row < Ranks * Tokens && routing == MoeRoutingSource.Router; row++)
                {
                    Floats.Set(method!.Last.TopKWeights, row, 1, row);
                }
            },
        };
        using MoeLayer layer = Create(method);
        using MoeForwardState state = layer.CreateState(Member().Object);
        using Floats input = new Floats(Tokens, Hidden).FillWithPlaces();
        using var output = new Floats(Tokens, Hidden);
        using MoeBuffer ids = MoeBuffer.OnHost(MoeElementType.Int32, Tokens, 2);
        using Floats weights = new Floats(Tokens, 2, gap: 1).FillWithPlaces();

        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View, TopKIds = ids.View, TopKWeights = weights.View, Routing = routing });

        Assert.Equal((Ranks * Tokens, Ranks * Tokens), (method.Last.TopKIds.Rows, method.Last.TopKWeights.Rows));
        Assert.Equal(routing == MoeRoutingSource.Caller ? 3 : 1, _gathered.Count);
        if (routing == MoeRoutingSource.Router)
        {
            Assert.Equal((Rank * Tokens, (Rank * Tokens) + 1), (weights[0, 1], weights[1, 1]));
        }
        else
        {
            Assert.Equal((102, 102), (Floats.At(method.Last.TopKWeights, 1, 1), Floats.At(method.Last.TopKWeights, Tokens + 1, 1)));
        }

        Assert.True(weights.GapIsUntouched());
    }

    /// <summary>Ids travel first, then rows by them, and the sums go by the same.</summary>
    [Theory]
    [InlineData(MoeRoutingSource.Caller, false, false)]
    [InlineData(MoeRoutingSource.Router, true, true)]
    [InlineData(MoeRoutingSource.Router, true, false)]
    public void Tokens_are_sent_by_their_experts_where_those_are_known_before(MoeRoutingSource routing, bool canRoute, bool asksForRouting)
    {
        const int Tokens = 2;
        MoeRouteArguments routed = default;
        var method = new SkippingMethod(_memory, skips: true, unpadded: true)
        {
            CanRoute = canRoute,
            DuringForward = () => _order.Add("forward"),
            DuringRoute = arguments =>
            {
                _order.Add("route");
                routed = arguments;
            },
        };
        Mock<IMoeCommunicator> member = Member();
        member.Setup(m => m.GainsByRouting(Tokens, 2, 1)).Returns(true);
        using MoeLayer layer = Create(method);
        using MoeForwardState state = layer.CreateState(member.Object);
        using Floats input = new Floats(Tokens, Hidden).FillWithPlaces();
        using var output = new Floats(Tokens, Hidden);
        using MoeBuffer ids = MoeBuffer.OnHost(MoeElementType.Int32, Tokens, 2);
        using var weights = new Floats(Tokens, 2, gap: 1);
        var call = new MoeLayerCall { Input = input.View, Output = output.View, Routing = routing };

        layer.Forward(state, asksForRouting || routing == MoeRoutingSource.Caller ? call with { TopKIds = ids.View, TopKWeights = weights.View } : call);

        string[] exchange = ["gather", "gather", "gather", $"lend {Ranks * Tokens}", "forward", "reduce-scatter"];
        Assert.Equal(canRoute ? ["route", .. exchange] : exchange, _order);
        Assert.Equal(MoeRoutingSource.Caller, method.Last.Routing);
        Assert.Equal((true, true, false), (_gathered[0].Experts.IsEmpty, _gathered[1].Experts.IsEmpty, _gathered[2].Experts.IsEmpty));
        Assert.Equal((MoeElementType.Int32, MoeElementType.Float32, Hidden), (_gathered[0].Input.ElementType, _gathered[1].Input.ElementType, _gathered[2].Input.Columns));
        foreach (MoeTokenExperts experts in new[] { _gathered[2].Experts, _scattered.Experts })
        {
            Assert.Equal((_gathered[0].Output.Address, Ranks * Tokens, 2), (experts.Ids.Address, experts.Ids.Rows, experts.Ids.Columns));
            Assert.Equal((TinyLayer.Shape.ExpertCount, 1), (experts.ExpertCount, experts.TensorCount));
        }

        if (canRoute)
        {
            // Its own tokens alone, and straight into what the caller asked for.
            Assert.Equal((input.View.Address, Tokens), (routed.Input.Address, routed.Input.Rows));
            Assert.Equal((_gathered[0].Input.Address, _gathered[1].Input.Address), (routed.TopKIds.Address, routed.TopKWeights.Address));
            Assert.Equal(asksForRouting, routed.TopKIds.Address == ids.View.Address && routed.TopKWeights.Address == weights.View.Address);
            Assert.True(weights.GapIsUntouched());
        }
    }

    /// <summary>A layer that routes only within a forward, or a group that gains nothing by routing first: everything is gathered once.</summary>
    [Theory]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public void Else_all_tokens_go_everywhere(bool canRoute, bool gains)
    {
        var method = new SkippingMethod(_memory, skips: true, unpadded: true) { CanRoute = canRoute };
        Mock<IMoeCommunicator> member = Member();
        member.Setup(m => m.GainsByRouting(It.IsAny<int>(), It.IsAny<int>(), It.IsAny<int>())).Returns(gains);
        using MoeLayer layer = Create(method);
        using MoeForwardState state = layer.CreateState(member.Object);
        using Floats input = new Floats(2, Hidden).FillWithPlaces();
        using var output = new Floats(2, Hidden);

        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });

        Assert.Equal(["gather", $"lend {Ranks * 2}", "reduce-scatter"], _order);
        Assert.Equal((true, true), (Assert.Single(_gathered).Experts.IsEmpty, _scattered.Experts.IsEmpty));
    }

    [Fact]
    public void No_tokens_are_a_reduction_like_any_other()
    {
        using MoeLayer layer = Create(new SkippingMethod(_memory, skips: true, unpadded: true));
        using MoeForwardState state = layer.CreateState(Member().Object);

        layer.Forward(state, new MoeLayerCall { Input = default, Output = default });

        Assert.Equal(["lend 0", "reduce-scatter"], _order);
    }

    [Fact]
    public void The_limit_is_of_each_rank()
    {
        using MoeLayer layer = Create(new SkippingMethod(_memory, skips: true, unpadded: true));
        using MoeForwardState state = layer.CreateState(Member().Object);
        using var tokens = new Floats(5, Hidden);

        Assert.Contains(
            "at most 4",
            Assert.Throws<ArgumentException>(() => layer.Forward(state, new MoeLayerCall { Input = tokens.View, Output = tokens.View })).Message,
            StringComparison.Ordinal);
        Assert.Empty(_order);
    }

    [Fact]
    public void A_norm_of_all_tokens_is_refused_before_anything_runs()
    {
        using MoeLayer layer = Create(new SkippingMethod(_memory, skips: true, unpadded: true));
        using MoeForwardState state = layer.CreateState(Member().Object);
        using Floats input = new Floats(2, Hidden).FillWithPlaces();
        using var weight = new Floats(1, Hidden);

        Assert.Throws<ArgumentException>(() => layer.Forward(state, new MoeLayerCall
        {
            Input = input.View,
            Output = input.View,
            AddNorm = new MoeAddNorm { NormWeight = weight.View, Epsilon = 0 },
        }));
        Assert.Empty(_order);
    }

    [Fact]
    public void Without_a_group_there_is_nobody_to_dispatch_to()
    {
        using MoeLayer layer = Create(new SkippingMethod(_memory, skips: true, unpadded: true));

        Assert.Contains("DispatchTokens", Assert.Throws<MoeException>(layer.CreateState).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(15, MoeElementType.Float32, "MaxTokens is 4 for each of 4 ranks, and the group's only 15")]
    [InlineData(16, MoeElementType.BFloat16, "has 20 bytes, and the group's rows have 10")]
    public void A_group_that_is_too_small_is_refused(int maxTokens, MoeElementType type, string message)
    {
        using MoeLayer layer = Create(new SkippingMethod(_memory, skips: true, unpadded: true), Options with { OutputType = type });
        Mock<IMoeCommunicator> member = Member();
        member.SetupGet(m => m.Request).Returns(new MoeGroupRequest { Devices = [], Width = Hidden, MaxTokens = maxTokens, ElementType = type });

        Assert.Contains(message, Assert.Throws<MoeException>(() => layer.CreateState(member.Object)).Message, StringComparison.Ordinal);
    }

    private static MoeLayer Create(IMoeQuantMethod method, MoeLayerOptions? options = null) =>
        MoeLayer.Create(method, TinyLayer.Shape, TinyLayer.Weights, options ?? Options, cancellationToken: TestContext.Current.CancellationToken);

    private static long RowBytes(bool keepsWidth) => sizeof(float) * (keepsWidth ? Hidden : 2 * Padded);

    // Memory of the host's own, of the config's most tokens and as wide as the view: not a byte less, and not a byte more.
    private void RequireRoom(in MoeTensorView view, MoeLayerConfig config)
    {
        Assert.Equal((long)view.Columns * sizeof(float), view.RowStride);
        Assert.Equal(Ranks * 4, config.MaxTokens);
        Assert.Equal(config.MaxTokens * view.RowStride, _memory.ByteCountAt(view.Address));
    }

    // Every rank brings what this one brings.
    private unsafe Mock<IMoeCommunicator> Member(bool keepsWidth = true)
    {
        MoeTensorView lent = _lent.View;
        var partials = new MoePartialBuffer(new MoeTensorView(lent.Address, lent.Device, lent.ElementType, Ranks * 4, Hidden, RowBytes(keepsWidth)));
        var member = new Mock<IMoeCommunicator>();
        member.SetupGet(m => m.Rank).Returns(Rank);
        member.SetupGet(m => m.Count).Returns(Ranks);
        member.SetupGet(m => m.Device).Returns(MoeDevice.Cpu);
        member.SetupGet(m => m.Request).Returns(
            new MoeGroupRequest { Devices = [], Width = Hidden, MaxTokens = Ranks * 4, ElementType = MoeElementType.Float32 });
        member.Setup(m => m.AllGather(It.IsAny<MoeGatherArguments>())).Callback((MoeGatherArguments arguments) =>
        {
            _order.Add("gather");
            _gathered.Add(arguments);
            for (int row = 0; row < arguments.Output.Rows; row++)
            {
                Copy(arguments.Input, row % arguments.Input.Rows, arguments.Output, row);
            }
        });
        member.Setup(m => m.LendPartial(It.IsAny<int>())).Returns((int rows) => partials.Lend(rows)).Callback((int rows) => _order.Add($"lend {rows}"));
        member.Setup(m => m.ReduceScatter(It.IsAny<MoeReduceArguments>())).Callback((MoeReduceArguments arguments) =>
        {
            _order.Add("reduce-scatter");
            _scattered = arguments;
            MoeTensorView sums = arguments.Partial.Take();
            for (int row = 0; row < arguments.Output.Rows; row++)
            {
                Copy(sums, (Rank * arguments.Output.Rows) + row, arguments.Output, row);
            }
        });
        return member;
    }

    private static unsafe void Copy(in MoeTensorView source, int sourceRow, in MoeTensorView destination, int row) => Buffer.MemoryCopy(
        (void*)source.RowAddress(sourceRow), (void*)destination.RowAddress(row), destination.RowBytes, source.RowBytes);
}
