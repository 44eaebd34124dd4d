namespace Moe.Plugins.Cli.Tests;

public sealed class BenchRunTests
{
    /// <summary>Copies of so small a layer: the most, and on a processor as many forwards in a recording.</summary>
    private const int Forwards = 32;

    /// <summary>Weights of two experts of the layer that is measured, and bytes of its router in BF16.</summary>
    private const double Weights = 2 * 3 * 96 * 64, RouterBytes = 2 * 8 * 96;

    /// <summary>17 bytes for 32 weights.</summary>
    private const double Mxfp4Bytes = (Weights / 32 * 17) + RouterBytes;

    [Fact]
    public async Task A_right_row_has_its_figures()
    {
        Bench bench = await Bench.Run<RightPlugin>();
        Assert.Equal((0, ""), (bench.ExitCode, bench.Error));
        Assert.Equal(("fake device", "1.2", 100.0, 200.0, 1.0), (bench.Result!.Device, bench.Result.Driver, bench.Result.CopyGbps, bench.Result.ReadGbps, bench.Result.MatrixTflops));
        Assert.Equal([1, 3], bench.Result.Rows.Select(row => row.Tokens));

        BenchRow one = bench.Result.Rows[0];
        Assert.True(one.Right);
        Assert.Equal(("It", "8,96,64,2", "mxfp4", 2.0), (one.Backend, one.Shape, one.Weights, one.DistinctExperts));
        Assert.Equal((1000, 10), (one.WeightBytes, one.WorkspaceBytes));

        // At the read bandwidth.
        double bytes = Mxfp4Bytes;
        Assert.Equal(bytes / FakeInstruments.ReadGigabytesPerSecond / 1e3, one.FloorMicroseconds, 1e-3);

        // Warm-ups come first, so no replay that counts took less than the first ones.
        Assert.InRange(one.Microseconds!.Value * Forwards, FakeInstruments.FirstTime + 3, FakeInstruments.FirstTime + 50);
        Assert.InRange(one.Spread!.Value * Forwards, 0.5, 50);
        Assert.Equal(one.Microseconds.Value / (bytes / 200 / 1e3), one.RatioToFloor!.Value, 0.5);
        Assert.Equal(bytes / one.Microseconds.Value / 1e3, one.Gbps!.Value, 0.01);
        Assert.InRange(one.RelativeError!.Value, 1e-5, 4e-3);
    }

    [Fact]
    public async Task A_result_says_how_long_the_device_rested()
    {
        Bench bench = await Bench.Run<RightPlugin>(Bench.Settings with { Rest = 2 });
        Assert.Equal(2, bench.Result!.Rest);
        Assert.Contains("uniform routing, 2 ms of rest before each replay", bench.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Many_tokens_have_the_floor_of_the_operations()
    {
        Bench bench = await Bench.Run<RightPlugin>(Bench.Settings with { Tokens = [64] });
        double operations = 2.0 * 64 * (Weights + (8 * 96));
        Assert.Equal(operations / FakeInstruments.Teraflops / 1e6, bench.Result!.Rows[0].FloorMicroseconds, 1e-3);
        Assert.Equal(8, bench.Result.Rows[0].DistinctExperts);
    }

    [Fact]
    public async Task A_wrong_backend_is_printed_as_wrong_and_not_timed()
    {
        Bench bench = await Bench.Run<WrongPlugin>();
        Assert.Equal(ExitCode.Wrong, bench.ExitCode);
        Assert.Contains("WRONG", bench.Output, StringComparison.Ordinal);
        Assert.All(bench.Result!.Rows, row =>
        {
            Assert.False(row.Right);
            Assert.Null(row.Microseconds);
            Assert.Null(row.RatioToFloor);
            Assert.True(row.RelativeError > row.RelativeErrorLimit);
        });
    }

    [Fact]
    public async Task A_backend_that_writes_nothing_is_wrong() => Assert.Equal(ExitCode.Wrong, (await Bench.Run<IdlePlugin>()).ExitCode);

    [Fact]
    public async Task What_was_timed_must_be_right_as_well()
    {
        Bench bench = await Bench.Run<TiringPlugin>();
        Assert.Equal(ExitCode.Wrong, bench.ExitCode);
        Assert.All(bench.Result!.Rows, row => Assert.Null(row.Microseconds));
    }

    [Fact]
    public async Task Other_experts_than_the_routers_are_wrong()
    {
        Bench bench = await Bench.Run<MisroutingPlugin>();
        Assert.Equal(ExitCode.Wrong, bench.ExitCode);
        Assert.All(bench.Result!.Rows, row => Assert.Null(row.Microseconds));
    }

    [Fact]
    public async Task A_device_that_is_held_back_is_not_measured()
    {
        Bench bench = await Bench.Run<BrakedPlugin>();
        Assert.Equal(ExitCode.Throttled, bench.ExitCode);
        Assert.Contains("braked device", bench.Error, StringComparison.Ordinal);
        Assert.Contains("PowerBrake", bench.Error, StringComparison.Ordinal);
        Assert.Null(bench.Result);
        Assert.Equal("", bench.Output);
    }

    [Fact]
    public async Task A_device_that_becomes_too_hot_keeps_the_rows_before_that()
    {
        Bench bench = await Bench.Run<HotPlugin>();
        Assert.Equal(ExitCode.Throttled, bench.ExitCode);
        Assert.Equal([1], bench.Result!.Rows.Select(row => row.Tokens));
        Assert.Contains("8,96,64,2", bench.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Each_backend_gets_the_weights_that_it_is_made_for()
    {
        Bench bench = await Bench.Run(builder => builder.AddBackend<WidePlugin>(), Bench.Settings with { Tokens = [1] });
        Assert.Equal(
            [("RightPlugin", "mxfp4"), ("WidePlugin", "bf16")], bench.Result!.Rows.Select(row => (row.Backend, row.Weights)).Order());
        double[] floors = [.. bench.Result.Rows.OrderBy(row => row.Weights).Select(row => row.FloorMicroseconds)];
        Assert.Equal(((2 * Weights) + RouterBytes) / Mxfp4Bytes, floors[0] / floors[1], 0.05);

        bench = await Bench.Run<WidePlugin>(Bench.Settings with { Tokens = [1], Weights = MoeWeightFormat.Mxfp4 });
        Assert.Equal("mxfp4", bench.Result!.Rows.Single().Weights);
    }

    [Fact]
    public async Task Ceilings_that_change_during_a_run_are_told()
    {
        Assert.Empty((await Bench.Run<RightPlugin>()).Result!.Notes);
        Bench bench = await Bench.Run<FadingPlugin>();
        Assert.Contains("from 1 to 0.9 TFLOP/s", Assert.Single(bench.Result!.Notes), StringComparison.Ordinal);
        Assert.Contains("from 1 to 0.9 TFLOP/s", bench.Output.ReplaceLineEndings(" "), StringComparison.Ordinal);
    }

    [Fact]
    public async Task One_run_measures_one_device()
    {
        Bench bench = await Bench.Run(builder => builder.AddBackend<GraphicsPlugin>("Graphics"), Bench.Settings with { Tokens = [1] });
        BenchRow row = Assert.Single(bench.Result!.Rows);
        Assert.Equal(("Graphics", "copy"), (row.Backend, bench.Result.FloorBandwidth));
        Assert.Equal(Mxfp4Bytes / 100e3, row.FloorMicroseconds, 1e-3);
        Assert.Contains("RightPlugin runs on cpu", bench.Output, StringComparison.Ordinal);

        BenchSettings both = Bench.Settings with { Backends = ["RightPlugin", "Graphics"] };
        bench = await Bench.Run(builder => builder.AddBackend<GraphicsPlugin>("Graphics"), both);
        Assert.Equal(ExitCode.NoBackend, bench.ExitCode);
        Assert.Contains("--device", bench.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_backend_that_fails_does_not_stop_the_others()
    {
        Bench bench = await Bench.Run(builder => builder.AddBackend<FullPlugin>("A"), Bench.Settings with { Backends = ["A", "RightPlugin"] });
        Assert.Equal(ExitCode.Failed, bench.ExitCode);
        Assert.Equal(["RightPlugin"], bench.Result!.Rows.Select(row => row.Backend).Distinct());
        Assert.Contains("the fake device is full", bench.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_skewed_router_reaches_fewer_experts()
    {
        MoeLayerShape shape = Bench.Shape with { ExpertCount = 64 };
        BenchSettings settings = Bench.Settings with { Shapes = [shape], Tokens = [64] };
        double uniform = (await Bench.Run<RightPlugin>(settings)).Result!.Rows[0].DistinctExperts;
        double skewed = (await Bench.Run<RightPlugin>(settings with { Routing = BenchSettings.Skewed })).Result!.Rows[0].DistinctExperts;
        Assert.Equal(BenchFloor.ExpectedExperts(shape, 64), uniform, 5.0);
        Assert.True(skewed < uniform - 5, $"{skewed} of {uniform}");
    }

    [Fact]
    public async Task A_file_says_where_tokens_go()
    {
        using var folder = new TemporaryFolder();
        string file = folder.File("trace.safetensors");
        int[] ids = [3, 5, 5, 3, 3, 5];
        var writer = new Checkpoints.SafetensorsWriter();
        writer.Add("topk_ids", Checkpoints.SafetensorsType.I32, [3, 2], System.Runtime.InteropServices.MemoryMarshal.AsBytes<int>(ids).ToArray());
        writer.Save(file);
        BenchSettings settings = Bench.Settings with { Shapes = [Bench.Shape with { HiddenSize = 640 }], Tokens = [16], Routing = file };
        Bench bench = await Bench.Run<RightPlugin>(settings);
        Assert.Equal((0, ""), (bench.ExitCode, bench.Error));
        Assert.Equal(2, bench.Result!.Rows.Single().DistinctExperts);
        Assert.Equal("trace.safetensors", bench.Result.Routing);
        Assert.Empty(bench.Result.Notes);

        bench = await Bench.Run<RightPlugin>(settings with { Shapes = [Bench.Shape with { ExpertCount = 4 }] });
        Assert.Equal(ExitCode.BadInput, bench.ExitCode);
        Assert.Contains("expert 5", bench.Error, StringComparison.Ordinal);
    }
}
