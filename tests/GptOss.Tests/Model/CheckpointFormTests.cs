using System.Buffers.Binary;
using System.Text.Json.Nodes;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.GptOss.Tests;

/// <summary>The forms that the same model comes in.</summary>
public sealed class CheckpointFormTests
{
    private static readonly float[] Codes = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0f, -0.5f, -1, -1.5f, -2, -3, -4, -6];

    [Fact]
    public void The_original_names_and_configuration()
    {
        using var checkpoint = new TinyCheckpoint();
        for (int layer = 0; layer < 4; layer++)
        {
            foreach (string part in (string[])["weight", "bias"])
            {
                TinyCheckpoint.Tensor[] parts =
                    [.. ((string[])["q", "k", "v"]).Select(name => checkpoint.Take($"model.layers.{layer}.self_attn.{name}_proj.{part}"))];
                long[] shape = [parts.Sum(tensor => tensor.Shape[0]), .. parts[0].Shape[1..]];
                byte[] data = [.. parts.SelectMany(tensor => tensor.Data)];
                checkpoint.Tensors.Add($"block.{layer}.attn.qkv.{part}", new TinyCheckpoint.Tensor(SafetensorsType.BF16, shape, data));
            }
        }

        foreach (string name in checkpoint.Tensors.Keys.ToArray())
        {
            string original = name
                .Replace("model.layers.", "block.", StringComparison.Ordinal)
                .Replace("input_layernorm.weight", "attn.norm.scale", StringComparison.Ordinal)
                .Replace("self_attn.sinks", "attn.sinks", StringComparison.Ordinal)
                .Replace("self_attn.o_proj", "attn.out", StringComparison.Ordinal)
                .Replace("post_attention_layernorm.weight", "mlp.norm.scale", StringComparison.Ordinal)
                .Replace("mlp.router", "mlp.gate", StringComparison.Ordinal)
                .Replace("mlp.experts.gate_up_proj_bias", "mlp.mlp1_bias", StringComparison.Ordinal)
                .Replace("mlp.experts.gate_up_proj_", "mlp.mlp1_weight.", StringComparison.Ordinal)
                .Replace("mlp.experts.down_proj_bias", "mlp.mlp2_bias", StringComparison.Ordinal)
                .Replace("mlp.experts.down_proj_", "mlp.mlp2_weight.", StringComparison.Ordinal)
                .Replace("model.embed_tokens.weight", "embedding.weight", StringComparison.Ordinal)
                .Replace("model.norm.weight", "norm.scale", StringComparison.Ordinal)
                .Replace("lm_head.weight", "unembedding.weight", StringComparison.Ordinal);
            checkpoint.Tensors[original] = checkpoint.Take(name);
        }

        checkpoint.Config = JsonNode.Parse(
            """
            {
              "num_hidden_layers": 4, "num_experts": 8, "experts_per_token": 4, "vocab_size": 320, "hidden_size": 192, "intermediate_size": 96,
              "swiglu_limit": 7.0, "head_dim": 32, "num_attention_heads": 8, "num_key_value_heads": 2, "sliding_window": 8,
              "initial_context_length": 64, "rope_theta": 150000, "rope_scaling_factor": 32.0, "rope_ntk_alpha": 1, "rope_ntk_beta": 32
            }
            """)!.AsObject();
        AssertRight(checkpoint);
    }

    [Fact]
    public void The_published_configuration()
    {
        using var checkpoint = new TinyCheckpoint();
        JsonNode parameters = checkpoint.Config["rope_parameters"]!;
        checkpoint.Config.Remove("rope_parameters");
        parameters.AsObject().Remove("rope_theta");
        checkpoint.Config["rope_scaling"] = parameters;
        checkpoint.Config["rope_theta"] = 150000;
        checkpoint.Config.Remove("layer_types");
        AssertRight(checkpoint);
    }

    [Fact]
    public void Experts_in_bf16_as_transformers_saves_them()
    {
        using var checkpoint = new TinyCheckpoint();
        for (int layer = 0; layer < 4; layer++)
        {
            foreach (string matrix in (string[])["gate_up_proj", "down_proj"])
            {
                string name = $"model.layers.{layer}.mlp.experts.{matrix}";
                checkpoint.Tensors.Add(name, Dequantize(checkpoint.Take($"{name}_blocks"), checkpoint.Take($"{name}_scales")));
            }
        }

        checkpoint.Config.Remove("quantization_config");
        AssertRight(checkpoint);
    }

    [Fact]
    public void Shards_and_their_index()
    {
        using var checkpoint = new TinyCheckpoint();
        AssertRight(checkpoint.SaveShards(3));
    }

    [Fact]
    public void Threads_that_load_at_once_tell_one_number_after_another()
    {
        const int Threads = 8, Pieces = 2000;
        var told = new Told();
        var progress = new LoadProgress(told, ownBytes: Threads * Pieces, expertBytes: []);
        Parallel.For(0, Threads, new ParallelOptions { MaxDegreeOfParallelism = Threads }, _ =>
        {
            for (int i = 0; i < Pieces; i++)
            {
                progress.Add(1);
            }
        });
        Assert.Equal(Enumerable.Range(1, Threads * Pieces).Select(bytes => bytes / (double)(Threads * Pieces)), told.Values);
    }

    [Fact]
    public void Loading_tells_how_far_it_is()
    {
        var told = new Told();
        GptOssModel.Load(Models.Host, new GptOssOptions { Model = Golden.Folder, MaxContext = 64 }, told, TestContext.Current.CancellationToken).Dispose();
        Assert.True(told.Values.Count > 8);
        Assert.Equal(told.Values.Order(), told.Values);
        Assert.InRange(told.Values[0], 0, 0.5);
        Assert.Equal(1, told.Values[^1], 1e-3);
    }

    private static void AssertRight(TinyCheckpoint checkpoint) => AssertRight(checkpoint.Save());

    private static void AssertRight(string folder)
    {
        using GptOssModel model = Models.Load(options => options.Model = folder);
        float[] logits = Models.AllLogits(model, Golden.Text);
        Assert.InRange(Models.WorstRow(logits, Golden.Logits, model.Config.VocabularySize), 0, Models.Float32Error);
    }

    /// <summary>[experts, outputs, blocks, 16] to [experts, inputs, outputs]; every value is a BF16 number.</summary>
    private static TinyCheckpoint.Tensor Dequantize(TinyCheckpoint.Tensor blocks, TinyCheckpoint.Tensor scales)
    {
        int experts = (int)blocks.Shape[0], outputs = (int)blocks.Shape[1], inputs = (int)blocks.Shape[2] * 32;
        byte[] data = new byte[experts * outputs * inputs * 2];
        for (int expert = 0; expert < experts; expert++)
        {
            for (int output = 0; output < outputs; output++)
            {
                for (int input = 0; input < inputs; input++)
                {
                    int place = (((expert * outputs) + output) * inputs) + input;
                    int code = (blocks.Data[place / 2] >> (4 * (place % 2))) & 15;
                    float value = Codes[code] * MathF.ScaleB(1, scales.Data[place / 32] - 127);
                    int target = (((expert * inputs) + input) * outputs) + output;
                    BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(2 * target), MoeBFloat16.FromSingle(value));
                }
            }
        }

        return new TinyCheckpoint.Tensor(SafetensorsType.BF16, [experts, inputs, outputs], data);
    }

    private sealed class Told : IProgress<double>
    {
        public List<double> Values { get; } = [];

        public void Report(double value) => Values.Add(value);
    }
}
