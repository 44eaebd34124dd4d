namespace Moe.Plugins.Tests;

/// <summary>What a forward hands to a method, and what reaches the caller.</summary>
public sealed class MoeLayerForwardTests
{
    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void The_host_pads_and_slices_exactly_where_the_method_does_not(bool skips, bool unpadded)
    {
        using var memory = new HostMemory();
        var method = new SkippingMethod(memory, skips, unpadded);
        using MoeLayer layer = Create(method);
        using MoeForwardState state = layer.CreateState();
        using Floats input = new Floats(3, 5, gap: 4).FillWithPlaces();
        using var output = new Floats(3, 5, gap: 2);

        for (int round = 0; round < 2; round++)
        {
            layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });
            Assert.Equal(skips, method.Last.Input == input.View);
            Assert.Equal(unpadded, method.Last.Output == output.View);
            Assert.Equal(input.View, method.Last.RouterInput);
            Assert.Equal((skips ? 5 : 8, unpadded ? 5 : 8), (method.Last.Input.Columns, method.Last.Output.Columns));
            Assert.Equal((3, 3), (method.Last.Input.Rows, method.Last.Output.Rows));
            for (int row = 0; row < 3; row++)
            {
                // The sum is a number only if no lane beyond the row's five was garbage.
                Assert.Equal((500 * row) + 15, output[row, 0]);
                Assert.Equal((500 * row) + 15, output[row, 4]);
            }
        }

        Assert.True(output.GapIsUntouched());
        Assert.Equal(2 * ((skips ? 0 : 1) + (unpadded ? 0 : 1)), memory.CopyCount);
    }

    [Fact]
    public void Padding_lanes_stay_zero_when_a_batch_is_shorter_than_the_one_before()
    {
        using var memory = new HostMemory();
        var method = new RecordingMethod(memory);
        using MoeLayer layer = Create(method);
        using MoeForwardState state = layer.CreateState();
        foreach (int tokens in (int[])[4, 1, 3])
        {
            using Floats input = new Floats(tokens, 5, gap: 7).FillWithPlaces();
            using var output = new Floats(tokens, 5);
            layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });
            for (int row = 0; row < tokens; row++)
            {
                Assert.Equal([0f, 0f, 0f], Enumerable.Range(5, 3).Select(c => Floats.At(method.Last.Input, row, c)));
            }
        }
    }

    [Fact]
    public void An_aligned_layer_is_never_copied_whatever_the_method_can()
    {
        using var memory = new HostMemory();
        var method = new RecordingMethod(memory);
        MoeTensorView values = TinyLayer.Values;
        MoeLayerShape aligned = TinyLayer.Shape with { HiddenSize = 8 };
        using MoeLayer layer = MoeLayer.Create(
            method,
            aligned,
            new MoeWeightSource
            {
                RouterWeight = View(1, 4, 8),
                GateUp = new MoeExpertMatrix { Values = View(4, 6, 8) },
                Down = new MoeExpertMatrix { Values = View(4, 8, 3) },
            },
            TinyLayer.Options,
            cancellationToken: TestContext.Current.CancellationToken);
        using MoeForwardState state = layer.CreateState();
        using var input = new Floats(2, 8);
        using var output = new Floats(2, 8);
        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });

        Assert.Equal((input.View, output.View), (method.Last.Input, method.Last.Output));
        Assert.Equal(0, memory.CopyCount);
        Assert.Equal(10, state.ByteCount);

        MoeTensorView View(int planes, int rows, int columns) =>
            new(values.Address, MoeDevice.Cpu, MoeElementType.BFloat16, rows, columns, planes: planes);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_forward_allocates_nothing(bool skips)
    {
        using var memory = new HostMemory();
        using MoeLayer layer = Create(new SkippingMethod(memory, skips, skips));
        using MoeForwardState state = layer.CreateState();
        using Floats input = new Floats(3, 5).FillWithPlaces();
        using var output = new Floats(3, 5);
        var call = new MoeLayerCall { Input = input.View, Output = output.View };
        for (int i = 0; i < 100; i++)
        {
            layer.Forward(state, call);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            layer.Forward(state, call);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void No_tokens_are_no_work()
    {
        using var memory = new HostMemory();
        var method = new RecordingMethod(memory);
        using MoeLayer layer = Create(method);
        using MoeForwardState state = layer.CreateState();
        var nothing = new MoeTensorView(0, MoeDevice.Cpu, MoeElementType.Float32, 0, 5);
        layer.Forward(state, new MoeLayerCall { Input = nothing, Output = nothing });
        Assert.Equal(0, method.ForwardCount);
    }

    [Fact]
    public void The_callers_routing_reaches_the_method()
    {
        using var memory = new HostMemory();
        var method = new RecordingMethod(memory);
        using MoeLayer layer = Create(method);
        using MoeForwardState state = layer.CreateState();
        using Floats input = new Floats(3, 5).FillWithPlaces();
        using var output = new Floats(3, 5);
        using var weights = new Floats(3, 2);
        var ids = new MoeTensorView(input.View.Address, MoeDevice.Cpu, MoeElementType.Int32, 3, 2);
        layer.Forward(state, new MoeLayerCall
        {
            Input = input.View,
            Output = output.View,
            TopKIds = ids,
            TopKWeights = weights.View,
            Routing = MoeRoutingSource.Caller,
            Stream = 7,
        });
        Assert.Equal((ids, weights.View, MoeRoutingSource.Caller, 7), (method.Last.TopKIds, method.Last.TopKWeights, method.Last.Routing, method.Last.Stream));
    }

    private static MoeLayer Create(IMoeQuantMethod method) =>
        MoeLayer.Create(method, TinyLayer.Shape, TinyLayer.Weights, TinyLayer.Options);
}
