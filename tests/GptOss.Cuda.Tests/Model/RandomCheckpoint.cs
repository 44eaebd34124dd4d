using System.Runtime.InteropServices;
using System.Text.Json;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>A model with attention of gpt-oss-20b's sizes and random weights, two layers and small experts, in a folder that is gone after the test.</summary>
internal sealed class RandomCheckpoint : IDisposable
{
    public const int Vocabulary = 512;

    private const int Hidden = 2880;
    private const int Heads = 64;
    private const int KeyValueHeads = 8;
    private const int HeadSize = 64;
    /// <summary>A block of 32 for each of four ranks.</summary>
    private const int Intermediate = 128;

    /// <summary>All of them are chosen, so that rounding moves no token to another one.</summary>
    private const int Experts = 4;

    private readonly Random _random = new(20);
    private readonly SafetensorsWriter _writer = new();

    public RandomCheckpoint()
    {
        Folder = Directory.CreateTempSubdirectory("gpt-oss-random-").FullName;
        Uniform("model.embed_tokens.weight", 1, Vocabulary, Hidden);
        Uniform("lm_head.weight", 1 / Math.Sqrt(Hidden), Vocabulary, Hidden);
        Uniform("model.norm.weight", 1, Hidden);
        for (int layer = 0; layer < 2; layer++)
        {
            string name = $"model.layers.{layer}.";
            Uniform($"{name}input_layernorm.weight", 1, Hidden);
            Uniform($"{name}post_attention_layernorm.weight", 1, Hidden);
            Uniform($"{name}self_attn.sinks", 1, Heads);
            Linear($"{name}self_attn.q_proj", Heads * HeadSize, Hidden);
            Linear($"{name}self_attn.k_proj", KeyValueHeads * HeadSize, Hidden);
            Linear($"{name}self_attn.v_proj", KeyValueHeads * HeadSize, Hidden);
            Linear($"{name}self_attn.o_proj", Hidden, Heads * HeadSize);
            Linear($"{name}mlp.router", Experts, Hidden);
            Expert($"{name}mlp.experts.gate_up_proj", 2 * Intermediate, Hidden);
            Expert($"{name}mlp.experts.down_proj", Hidden, Intermediate);
        }

        _writer.Save(Path.Combine(Folder, "model.safetensors"));
        File.WriteAllText(Path.Combine(Folder, "config.json"), JsonSerializer.Serialize(new
        {
            model_type = "gpt_oss",
            hidden_size = Hidden,
            intermediate_size = Intermediate,
            num_local_experts = Experts,
            num_experts_per_tok = Experts,
            num_attention_heads = Heads,
            num_key_value_heads = KeyValueHeads,
            head_dim = HeadSize,
            vocab_size = Vocabulary,
            sliding_window = 128,
            num_hidden_layers = 2,
            rope_theta = 150000,
            rope_scaling = new { rope_type = "yarn", factor = 32.0, beta_fast = 32.0, beta_slow = 1.0, original_max_position_embeddings = 4096, truncate = false },
            quantization_config = new { quant_method = "mxfp4" },
        }));
    }

    public string Folder { get; }

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    private void Linear(string name, int outputs, int inputs)
    {
        Uniform($"{name}.weight", 1 / Math.Sqrt(inputs), outputs, inputs);
        Uniform($"{name}.bias", 0.1, outputs);
    }

    private void Expert(string name, int outputs, int inputs)
    {
        byte[] blocks = new byte[Experts * outputs * inputs / 2], scales = new byte[Experts * outputs * inputs / 32];
        _random.NextBytes(blocks);
        Array.Fill(scales, (byte)(127 + Math.Round(Math.Log2(1 / (3 * Math.Sqrt(inputs))))));
        _writer.Add($"{name}_blocks", SafetensorsType.U8, [Experts, outputs, inputs / 32, 16], blocks);
        _writer.Add($"{name}_scales", SafetensorsType.U8, [Experts, outputs, inputs / 32], scales);
        Uniform($"{name}_bias", 0.1, Experts, outputs);
    }

    /// <summary>Uniform values of a standard deviation.</summary>
    private void Uniform(string name, double deviation, params long[] shape)
    {
        byte[] bytes = new byte[2 * shape.Aggregate(1L, (product, size) => product * size)];
        foreach (ref ushort value in MemoryMarshal.Cast<byte, ushort>(bytes.AsSpan()))
        {
            value = MoeBFloat16.FromSingle((float)(deviation * Math.Sqrt(12) * (_random.NextDouble() - 0.5)));
        }

        _writer.Add(name, SafetensorsType.BF16, shape, bytes);
    }
}
