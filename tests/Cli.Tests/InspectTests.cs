using System.Text.Json;

namespace Moe.Plugins.Cli.Tests;

public sealed class InspectTests
{
    [Fact]
    public async Task A_layer_is_listed_with_what_padding_costs()
    {
        JsonElement json = (await Cli.Run("inspect", Cli.Golden("pad-hidden"), "--json")).Json();
        JsonElement layer = Assert.Single(json.GetProperty("layers").EnumerateArray());
        Assert.Equal("model.layers.0.mlp", layer.GetProperty("name").GetString());
        Assert.Equal(192, layer.GetProperty("shape").GetProperty("intermediate_size").GetInt32());
        JsonElement cpu = layer.GetProperty("backends").EnumerateArray().Single(backend => backend.GetProperty("backend").GetString() == "Cpu");
        Assert.Equal(0, cpu.GetProperty("padding_bytes").GetInt64());
        Assert.Equal(layer.GetProperty("bytes").GetInt64(), cpu.GetProperty("bytes_padded").GetInt64());
    }

    [Fact]
    public void Padding_gpt_oss_120b_to_256_costs_what_is_known()
    {
        // The experts' weights of 36 layers are 56.7 GiB and become 64.6 GiB, +13.8 %; biases and router are another 0.1 GiB.
        MoeLayerShape shape = MoeLayerShape.GptOss120B;
        double ratio = (double)LayerBytes.Count(shape, 3072, 3072) / LayerBytes.Count(shape, 2880, 2880);
        Assert.Equal(1.138, ratio, 1e-3);
        Assert.Equal(56.8, 36 * LayerBytes.Count(shape, 2880, 2880) / (double)(1L << 30), 0.05);
    }

    [Fact]
    public async Task A_person_reads_the_sizes()
    {
        Cli result = await Cli.Run("inspect", Cli.Golden("real-hidden"));
        Assert.Equal(0, result.ExitCode);
        Assert.All(["layer 0", "2880", "Cpu"], word => Assert.Contains(word, result.Output, StringComparison.Ordinal));
    }
}
