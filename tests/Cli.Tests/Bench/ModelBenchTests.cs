using Moe.Plugins.GptOss;

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
        var row = new ModelBenchRow
        {
            Phase = ModelBenchRow.Decode,
            Batch = 2,
            Context = 10,
            Tokens = 1,
            Milliseconds = 40,
            Spread = 1,
            Replays = 3,
            Bytes = 1e9,
            Operations = 1e9,
            ReadGbps = 50,
            FmaGflops = 100,
        };
        Assert.Equal(20, row.FloorMilliseconds);
        Assert.True(row.IsBoundByReading);
        Assert.Equal(50, row.TokensPerSecond);
        Assert.Equal(25, (row with { Operations = 2.5e9 }).FloorMilliseconds);
        Assert.Null((row with { ReadGbps = null }).FloorMilliseconds);
    }
}
