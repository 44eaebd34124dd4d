using Moe.Plugins.GptOss;
using SkiaSharp;

namespace Moe.Plugins.Cli.Tests;

/// <summary>What `moe bench model` takes for granted; the rates themselves are measured, and no test's business.</summary>
public sealed class ModelBenchTests
{
    private static readonly ModelCost Published = new(GptOssConfig.GptOss20B, MoeLayerShape.GptOss20B, MoeElementType.BFloat16);

    [Fact]
    public void A_step_of_the_published_model_reads_what_its_tensors_have()
    {
        // Attention 1.274 GB, experts 1.271 GB, head 1.158 GB; routers, norms and biases are left out.
        Assert.Equal(3.703e9, Published.Bytes(sequences: 1, context: 0, tokens: 1), 0.004e9);

        // 12 layers that see all positions of 2048 bytes, 12 that see 128.
        Assert.Equal(12 * 2048.0 * (8192 + 128), Published.Bytes(1, 8191, 1) - Published.Bytes(1, 0, 1), 12 * 2 * 2048.0 + 1);
    }

    [Fact]
    public void More_tokens_go_to_more_experts()
    {
        Assert.Equal(4, Published.DistinctExperts(1));
        Assert.Equal(7.5, Published.DistinctExperts(2), 0.05);
        Assert.Equal(28.2, Published.DistinctExperts(16), 0.05);
    }

    [Fact]
    public void A_prompt_costs_two_operations_a_weight_and_token()
    {
        double weights = (24.0 * ((2880.0 * 64 * 144) + (4 * 3 * 2880.0 * 2880) + (32 * 2880))) + (201088.0 * 2880);
        Assert.Equal(2 * weights, Published.Operations(1, 0, 1), 2e-3 * weights);
    }

    [Fact]
    public void The_floor_is_the_slower_of_reading_and_multiplying()
    {
        ModelBenchRow row = Row(batch: 2, milliseconds: 40);
        Assert.Equal(20, row.FloorMilliseconds);
        Assert.True(row.IsBoundByReading);
        Assert.Equal(50, row.TokensPerSecond);
        Assert.Equal(25, (row with { Operations = 2.5e9 }).FloorMilliseconds);
        Assert.Null((row with { ReadGbps = null }).FloorMilliseconds);
    }

    [Theory]
    [InlineData(ModelBenchRow.Prefill)]
    [InlineData(ModelBenchRow.Decode)]
    public void A_panel_begins_at_0_and_has_room_for_spreads_floor_and_peers(string phase)
    {
        ModelBenchRow row = Row(batch: 1, milliseconds: 40) with { Phase = phase };
        Assert.Equal((0, 1.08 * 50), Limits(row, phase));
        Assert.Equal((0, 1.08 * 100), Limits(row with { Milliseconds = 20, Spread = 10 }, phase), Near);
        Assert.Equal((0, 1.08 * 25), Limits(row with { ReadGbps = null, Spread = 0 }, phase), Near);
        var peers = new ModelPeers { Measured = "", Rows = [new("other", phase, 1, 10, 200), new("other", "another phase", 1, 10, 900)] };
        Assert.Equal((0, 1.08 * 200), Limits(row, phase, peers), Near);
    }

    [Fact]
    public async Task A_picture_has_a_panel_of_prompts_and_one_of_answers()
    {
        ModelBenchRow decode = Row(batch: 1, milliseconds: 40) with { Throttle = "somebody else" }, prefill = decode with { Phase = ModelBenchRow.Prefill };
        using SKBitmap one = await Picture(decode, decode with { Batch = 4 });
        using SKBitmap both = await Picture(prefill, decode, decode with { Batch = 4 });
        Assert.Equal((one.Width, 2 * one.Height), (both.Width, both.Height));
        Assert.InRange(one.Width, 700, 1000);
    }

    [Fact]
    public async Task Lists_say_their_defaults_once_and_take_whole_numbers_only()
    {
        string help = (await Cli.Run("bench", "model", "--help")).Output;
        Assert.DoesNotContain("[default", help, StringComparison.Ordinal);
        Assert.Contains("Default: 128,1024.", help, StringComparison.Ordinal);
        Cli refused = await Cli.Run("bench", "model", "--batch", "1,x");
        Assert.Equal(ExitCode.BadInput, refused.ExitCode);
        Assert.Contains("--batch has 'x'", refused.Error, StringComparison.Ordinal);
    }

    private static bool Near((double Bottom, double Top) one, (double Bottom, double Top) other) =>
        one.Bottom == other.Bottom && Math.Abs(one.Top - other.Top) < 1e-9;

    private static (double Bottom, double Top) Limits(ModelBenchRow row, string phase, ModelPeers? peers = null)
    {
        using var plot = new ScottPlot.Plot();
        ModelBenchPicture.Draw(plot, ResultOf(row), phase, peers);
        ScottPlot.AxisLimits limits = plot.Axes.GetLimits();
        return (limits.Bottom, limits.Top);
    }

    private static async Task<SKBitmap> Picture(params ModelBenchRow[] rows)
    {
        using var folder = new TemporaryFolder();
        BenchJson.Save(folder.File("m.json"), ResultOf(rows));
        Cli drawn = await Cli.Run("bench", "plot", folder.File("m.json"));
        Assert.True(drawn.ExitCode == 0, drawn.Error);
        return SKBitmap.Decode(folder.File("m.png"));
    }

    private static ModelBenchResult ResultOf(params ModelBenchRow[] rows) => new()
    {
        Date = "2026-11-23T10:00:00Z",
        Version = "0.1.0",
        Device = "a processor",
        Model = "a model",
        Experts = "Cpu (2 layers)",
        Types = "2 threads",
        Rows = [.. rows],
    };

    private static ModelBenchRow Row(int batch, double milliseconds) => new()
    {
        Phase = ModelBenchRow.Decode,
        Batch = batch,
        Context = 10,
        Tokens = 1,
        Milliseconds = milliseconds,
        Spread = 1,
        Replays = 3,
        Bytes = 1e9,
        Operations = 1e9,
        ReadGbps = 50,
        FmaGflops = 100,
    };
}
