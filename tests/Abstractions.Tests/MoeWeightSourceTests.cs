namespace Moe.Plugins.Abstractions.Tests;

public sealed class MoeWeightSourceTests
{
    private static readonly MoeLayerShape Shape = new() { HiddenSize = 64, IntermediateSize = 32, ExpertCount = 4, TopK = 2 };

    [Fact]
    public void Weights_that_fit_are_accepted() => Fitting().Validate(Shape);

    [Fact]
    public void A_caller_that_routes_itself_needs_no_router() =>
        (Fitting() with { RouterWeight = default, RouterBias = default }).Validate(Shape);

    public static TheoryData<string, MoeWeightSource> Misfits()
    {
        MoeWeightSource fitting = Fitting();
        return new()
        {
            { "gate_up is [4, 64, 16]; [4, 64, 32] is expected", fitting with { GateUp = fitting.GateUp with { Values = Bytes(64, 16) } } },
            { "down has no scales", fitting with { Down = fitting.Down with { Scales = default } } },
            { "down bias is missing", fitting with { Down = fitting.Down with { Bias = default } } },
            { "router bias is missing", fitting with { RouterBias = default } },
            { "router weight is UInt8", fitting with { RouterWeight = View(MoeElementType.UInt8, 4, 64) } },
            { "gate_up is in input-major order", fitting with { GateUp = fitting.GateUp with { Order = MoeMatrixOrder.InputMajor } } },
            { "gate_up has ups of its own", fitting with { GateUp = fitting.GateUp with { Up = fitting.Down } } },
            { "selection bias is there", fitting with { SelectionBias = View(MoeElementType.Float32, 1, 4) } },
            { "shared experts are there", fitting with { Shared = new() { GateUp = fitting.GateUp, Down = fitting.Down } } },
        };
    }

    [Theory]
    [MemberData(nameof(Misfits), DisableDiscoveryEnumeration = true)]
    public void A_tensor_that_does_not_fit_is_named(string message, MoeWeightSource source)
    {
        MoeException error = Assert.Throws<MoeException>(() => source.Validate(Shape));

        Assert.Equal(MoeReason.Checkpoint, error.Reason);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_bias_that_the_shape_does_not_have_is_refused()
    {
        MoeException error = Assert.Throws<MoeException>(() => Fitting().Validate(Shape with { HasExpertBias = false }));

        Assert.Contains("gate_up bias is there", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(MoeMatrixOrder.OutputMajor, 64, 64, 64, 32)]
    [InlineData(MoeMatrixOrder.InputMajor, 64, 64, 32, 64)]
    public void Bf16_comes_in_both_orders(MoeMatrixOrder order, int gateRows, int gateColumns, int downRows, int downColumns)
    {
        MoeWeightSource source = Fitting() with
        {
            GateUp = new() { Values = View(MoeElementType.BFloat16, gateRows, gateColumns, 4), Bias = View(MoeElementType.Float32, 4, 64), Order = order },
            Down = new() { Values = View(MoeElementType.BFloat16, downRows, downColumns, 4), Bias = View(MoeElementType.BFloat16, 4, 64), Order = order },
        };

        source.Validate(Shape with { WeightFormat = MoeWeightFormat.BFloat16 });
    }

    [Theory]
    [InlineData(128, 64, "64 biases an expert; 128 are expected")]
    [InlineData(64, 128, "64 × 2 scales an expert; 64 × 4 are expected")]
    public void A_reader_of_more_than_the_matrix_has_is_refused(int outputs, int inputs, string message)
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => new MoeExpertReader(Fitting().GateUp, MoeWeightFormat.Mxfp4, outputs, inputs));

        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 64, "outputs")]
    [InlineData(-64, 64, "outputs")]
    [InlineData(64, 0, "inputs")]
    [InlineData(64, -64, "inputs")]
    public void A_reader_of_nothing_is_refused_by_the_arguments_name(int outputs, int inputs, string name) =>
        Assert.Throws<ArgumentOutOfRangeException>(name, () => new MoeExpertReader(Fitting().GateUp, MoeWeightFormat.Mxfp4, outputs, inputs));

    [Theory]
    [InlineData(4)]
    [InlineData(-1)]
    public unsafe void A_table_of_tokens_is_read_and_names_only_experts_that_there_are(int stray)
    {
        int[] table = [0, 3, 2, 1];
        fixed (int* ids = table)
        {
            MoeWeightSource source = Fitting() with { TokenTable = new MoeTensorView((nint)ids, MoeDevice.Cpu, MoeElementType.Int32, 2, 2) };
            Assert.Equal(table, source.ReadTokenTable(Shape));

            ids[3] = stray;
            MoeException error = Assert.Throws<MoeException>(() => source.ReadTokenTable(Shape));
            Assert.Contains($"token id 1 to expert {stray}; 0 to 3 is expected", error.Message, StringComparison.Ordinal);
        }

        Assert.Null(Fitting().ReadTokenTable(Shape));
    }

    private static MoeWeightSource Fitting() => new()
    {
        RouterWeight = View(MoeElementType.BFloat16, 4, 64),
        RouterBias = View(MoeElementType.BFloat16, 1, 4),
        GateUp = new() { Values = Bytes(64, 32), Scales = Bytes(64, 2), Bias = View(MoeElementType.BFloat16, 4, 64) },
        Down = new() { Values = Bytes(64, 16), Scales = Bytes(64, 1), Bias = View(MoeElementType.BFloat16, 4, 64) },
    };

    private static MoeTensorView Bytes(int rows, int columns) => View(MoeElementType.UInt8, rows, columns, 4);

    // Validation looks at sizes alone: no test here reads what is at this address.
    private static MoeTensorView View(MoeElementType type, int rows, int columns, int planes = 1) =>
        new(4096, MoeDevice.Cpu, type, rows, columns, planes: planes);
}
