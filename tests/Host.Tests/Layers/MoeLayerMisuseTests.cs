namespace Moe.Plugins.Tests;

/// <summary>What a caller can do wrong, and what the layer says.</summary>
public sealed class MoeLayerMisuseTests : IDisposable
{
    private readonly HostMemory _memory = new();
    private readonly Floats _input = new Floats(3, 5).FillWithPlaces();
    private readonly Floats _output = new(3, 5);

    [Fact]
    public void A_wrong_tensor_is_named_with_what_was_expected()
    {
        using MoeLayer layer = Create(new RecordingMethod(_memory));
        using MoeForwardState state = layer.CreateState();
        using var many = new Floats(5, 5);
        using var wide = new Floats(3, 6);
        using var weights = new Floats(3, 2);
        MoeTensorView x = _input.View;
        MoeTensorView y = _output.View;
        var elsewhere = new MoeTensorView(x.Address, MoeDevice.Cuda(1), x.ElementType, 3, 5);
        var halves = new MoeTensorView(x.Address, MoeDevice.Cpu, MoeElementType.BFloat16, 3, 5);
        (MoeLayerCall Call, string Message)[] wrong =
        [
            (new() { Input = many.View, Output = many.View }, "The call brings 5 tokens; the layer was made for at most 4"),
            (new() { Input = wide.View, Output = y }, "Input is [1, 3, 6]; [1, 3, 5] is expected."),
            (new() { Input = x, Output = y.FirstRows(2) }, "Output is [1, 2, 5]; [1, 3, 5] is expected."),
            (new() { Input = elsewhere, Output = y }, "Input is on cuda:1; the layer is on cpu."),
            (new() { Input = halves, Output = y }, "Input is BFloat16; Float32 is expected."),
            (new() { Input = x, Output = y, TopKWeights = weights.View }, "TopKWeights is there without the other"),
            (new() { Input = x, Output = y, Routing = MoeRoutingSource.Caller }, "Routing is Caller, and TopKIds and TopKWeights are missing."),
            (new() { Input = x, Output = y, TopKIds = weights.View, TopKWeights = weights.View }, "TopKIds is Float32; Int32 is expected."),
        ];
        foreach ((MoeLayerCall call, string message) in wrong)
        {
            Assert.Contains(message, Assert.Throws<ArgumentException>(() => layer.Forward(state, call)).Message, StringComparison.Ordinal);
        }

        layer.Forward(state, new MoeLayerCall { Input = x, Output = y });
    }

    /// <summary>What a backend writes it may write before it has read all that is in the same bytes.</summary>
    [Fact]
    public void Tensors_that_overlap_in_part_are_refused_and_rows_between_rows_are_not()
    {
        using MoeLayer layer = Create(new RecordingMethod(_memory));
        using MoeForwardState state = layer.CreateState();
        using var wide = new Floats(9, 20);
        MoeTensorView At(int row, int column, MoeElementType type = MoeElementType.Float32, int columns = 5) =>
            new(wide.View.RowAddress(row) + (column * sizeof(float)), MoeDevice.Cpu, type, 3, columns, wide.View.RowStride);
        MoeTensorView x = At(0, 0);
        MoeTensorView y = At(4, 0);
        MoeTensorView weights = At(0, 15, columns: 2);
        (MoeLayerCall Call, string Message)[] wrong =
        [
            (new() { Input = x, Output = At(1, 0) }, "Output overlaps Input in part"),
            (new() { Input = At(2, 0), Output = x }, "Output overlaps Input in part"),
            (new() { Input = x, Output = At(0, 4) }, "Output overlaps Input in part"),
            (new() { Input = x, Output = At(2, 2) }, "Output overlaps Input in part"),
            (new() { Input = x, Output = y, TopKIds = At(4, 4, MoeElementType.Int32, 2), TopKWeights = weights }, "Output overlaps TopKIds in part"),
            (new() { Input = x, Output = y, TopKIds = At(0, 3, MoeElementType.Int32, 2), TopKWeights = weights }, "TopKIds overlaps Input in part"),
            (new() { Input = x, Output = y, TopKIds = At(0, 14, MoeElementType.Int32, 2), TopKWeights = weights }, "TopKIds overlaps TopKWeights in part"),
            (new() { Input = x, Output = y, TopKIds = At(0, 8, MoeElementType.Int32, 2), TopKWeights = At(0, 4, columns: 2) }, "TopKWeights overlaps Input in part"),
        ];
        foreach ((MoeLayerCall call, string message) in wrong)
        {
            Assert.Contains(message, Assert.Throws<ArgumentException>(() => layer.Forward(state, call)).Message, StringComparison.Ordinal);
        }

        // Beside each other in the same rows, one after the other, and the same tensor.
        layer.Forward(state, new MoeLayerCall { Input = x, Output = At(0, 5) });
        layer.Forward(state, new MoeLayerCall { Input = x, Output = At(1, 5) });
        layer.Forward(state, new MoeLayerCall { Input = x, Output = At(3, 0) });
        layer.Forward(state, new MoeLayerCall { Input = x, Output = x });
    }

    [Fact]
    public void A_layer_without_a_router_asks_for_the_callers_routing()
    {
        using MoeLayer layer = MoeLayer.Create(
            new RecordingMethod(_memory),
            TinyLayer.Shape,
            TinyLayer.Weights with { RouterWeight = default },
            TinyLayer.Options,
            cancellationToken: TestContext.Current.CancellationToken);
        using MoeForwardState state = layer.CreateState();
        Assert.Contains("without router weights", Assert.Throws<ArgumentException>(() => layer.Forward(state, Call)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_state_serves_one_forward_at_a_time()
    {
        using var entered = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        using MoeLayer layer = Create(new RecordingMethod(_memory)
        {
            DuringForward = () =>
            {
                entered.Set();
                release.Wait();
            },
        });
        using MoeForwardState state = layer.CreateState();
        var other = new Thread(() => layer.Forward(state, Call));
        other.Start();
        entered.Wait(TestContext.Current.CancellationToken);
        try
        {
            Assert.Contains(
                "Another thread is running a forward with this state",
                Assert.Throws<InvalidOperationException>(() => layer.Forward(state, Call)).Message,
                StringComparison.Ordinal);
        }
        finally
        {
            release.Set();
            other.Join();
        }

        layer.Forward(state, Call);
    }

    /// <summary>What a backend may give one memory must not be written by two threads.</summary>
    [Fact]
    public void Layers_that_take_turns_run_one_forward_at_a_time()
    {
        var turns = new MoeTurns();
        MoeLayer Make(Action duringForward, MoeTurns its) =>
            MoeLayer.Create(new RecordingMethod(_memory) { DuringForward = duringForward }, TinyLayer.Shape, TinyLayer.Weights, TinyLayer.Options with { Turns = its });
        MoeForwardState? shared = null, apart = null;
        using MoeLayer other = Make(() => { }, turns);
        using MoeLayer alone = Make(() => { }, new MoeTurns());
        using MoeLayer first = Make(
            () =>
            {
                Assert.Contains(
                    "a layer that takes turns with this one",
                    Assert.Throws<InvalidOperationException>(() => other.Forward(shared!, Call)).Message,
                    StringComparison.Ordinal);
                alone.Forward(apart!, Call);
            },
            turns);
        using MoeForwardState state = first.CreateState();
        using (shared = other.CreateState())
        using (apart = alone.CreateState())
        {
            first.Forward(state, Call);
            other.Forward(shared, Call);
            first.Forward(state, Call);
        }
    }

    [Fact]
    public void A_layer_can_be_used_again_with_another_state_after_a_forward_that_failed()
    {
        bool fails = true;
        using MoeLayer layer = Create(new RecordingMethod(_memory)
        {
            DuringForward = () =>
            {
                if (fails)
                {
                    throw new InvalidTimeZoneException("by the method");
                }
            },
        });
        using MoeForwardState state = layer.CreateState();
        Assert.Throws<InvalidTimeZoneException>(() => layer.Forward(state, Call));
        fails = false;
        Assert.Throws<InvalidOperationException>(() => layer.Forward(state, Call));
        using MoeForwardState other = layer.CreateState();
        layer.Forward(other, Call);
    }

    [Fact]
    public void Another_layers_state_and_a_disposed_one_are_refused()
    {
        using MoeLayer other = Create(new RecordingMethod(_memory));
        MoeLayer layer = Create(new RecordingMethod(_memory));
        MoeForwardState state = layer.CreateState();
        MoeForwardState disposed = layer.CreateState();
        disposed.Dispose();
        Assert.Throws<ArgumentException>(() => other.Forward(state, Call));
        Assert.Throws<ObjectDisposedException>(() => layer.Forward(disposed, Call));
        layer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => layer.Forward(state, Call));
        Assert.Throws<ObjectDisposedException>(layer.CreateState);
    }

    [Fact]
    public void Everything_is_freed_once()
    {
        var method = new RecordingMethod(_memory);
        MoeLayer layer = Create(method);
        layer.CreateState();
        layer.CreateState().Dispose();
        Assert.Equal(4, _memory.BlockCount);
        layer.Dispose();
        layer.Dispose();
        Assert.Equal(0, _memory.BlockCount);
        Assert.True(method.IsDisposed);
    }

    public void Dispose()
    {
        _input.Dispose();
        _output.Dispose();
        _memory.Dispose();
    }

    private MoeLayerCall Call => new() { Input = _input.View, Output = _output.View };

    private static MoeLayer Create(IMoeQuantMethod method) =>
        MoeLayer.Create(method, TinyLayer.Shape, TinyLayer.Weights, TinyLayer.Options);
}
