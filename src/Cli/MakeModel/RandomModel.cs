using System.Runtime.InteropServices;
using Moe.Plugins.Checkpoints;
using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>
/// All tensors of a GPT-OSS, under the published names, with random weights: normal ones that keep the size of what they multiply, MXFP4 codes
/// of any value.
/// </summary>
internal static class RandomModel
{
    /// <summary>Root mean square of the sixteen E2M1 values (OCP Microscaling Formats v1.0, §5.3.3).</summary>
    private const double CodeSize = 2.926;

    public static ModelTensor[] Tensors(GptOssConfig config, int seed)
    {
        int queries = config.HeadCount * config.HeadSize;
        int keys = config.KeyValueHeadCount * config.HeadSize;
        int hidden = config.HiddenSize, intermediate = config.IntermediateSize, experts = config.ExpertCount;
        var tensors = new List<ModelTensor>
        {
            Normal("model.embed_tokens.weight", seed, 1, config.VocabularySize, hidden),
            Ones("model.norm.weight", hidden),
            Normal("lm_head.weight", seed, 2 / Math.Sqrt(hidden), config.VocabularySize, hidden),
        };
        for (int layer = 0; layer < config.StoredLayerCount; layer++)
        {
            string name = $"model.layers.{layer}.";
            void Linear(string part, int outputs, int inputs)
            {
                tensors.Add(Normal($"{name}{part}.weight", seed, 1 / Math.Sqrt(inputs), outputs, inputs));
                tensors.Add(Normal($"{name}{part}.bias", seed, 0.1, outputs));
            }

            void Experts(string part, int outputs, int inputs)
            {
                tensors.Add(new($"{name}mlp.experts.{part}_blocks", SafetensorsType.U8, [experts, outputs, inputs / 32, 16], Source($"{name}{part}_blocks", seed).NextBytes));
                tensors.Add(Scales($"{name}mlp.experts.{part}_scales", seed, inputs, experts, outputs));
                tensors.Add(Normal($"{name}mlp.experts.{part}_bias", seed, 0.1, experts, outputs));
            }

            tensors.Add(Ones($"{name}input_layernorm.weight", hidden));
            tensors.Add(Ones($"{name}post_attention_layernorm.weight", hidden));
            tensors.Add(Normal($"{name}self_attn.sinks", seed, 1, config.HeadCount));
            Linear("self_attn.q_proj", queries, hidden);
            Linear("self_attn.k_proj", keys, hidden);
            Linear("self_attn.v_proj", keys, hidden);
            Linear("self_attn.o_proj", hidden, queries);
            Linear("mlp.router", experts, hidden);
            Experts("gate_up_proj", 2 * intermediate, hidden);
            Experts("down_proj", hidden, intermediate);
        }

        return [.. tensors];
    }

    /// <summary>Normal values of a standard deviation.</summary>
    public static ModelTensor Normal(string name, int seed, double deviation, params long[] shape)
    {
        Random random = Source(name, seed);
        ushort[]? quantiles = null;
        return new ModelTensor(name, SafetensorsType.BF16, shape, bytes =>
        {
            quantiles ??= NormalQuantiles(deviation);
            random.NextBytes(bytes);
            foreach (ref ushort value in MemoryMarshal.Cast<byte, ushort>(bytes))
            {
                value = quantiles[value];
            }
        });
    }

    private static ModelTensor Ones(string name, int size) => new(
        name, SafetensorsType.BF16, [size], bytes => MemoryMarshal.Cast<byte, ushort>(bytes).Fill(MoeBFloat16.FromSingle(1)));

    private static ModelTensor Scales(string name, int seed, int inputs, int experts, int outputs)
    {
        Random random = Source(name, seed);
        byte middle = (byte)(127 + Math.Round(Math.Log2(1 / (CodeSize * Math.Sqrt(inputs)))));
        return new ModelTensor(name, SafetensorsType.U8, [experts, outputs, inputs / 32], bytes =>
        {
            random.NextBytes(bytes);
            foreach (ref byte value in bytes)
            {
                value = (byte)(middle - (value & 1));
            }
        });
    }

    /// <summary>A tensor's own source: what it holds does not depend on the others. (A string's hash differs from run to run.)</summary>
    private static Random Source(string name, int seed) => new(name.Aggregate(seed, (hash, c) => unchecked((hash * 31) + c)));

    /// <summary>65536 equally likely values of a normal distribution, from its integral.</summary>
    private static ushort[] NormalQuantiles(double deviation)
    {
        const int count = 1 << 16;
        const int steps = 1 << 18;
        ushort[] quantiles = new ushort[count];
        double reached = 0;
        int next = 0;
        for (int step = 0; step < steps && next < count; step++)
        {
            double x = -5 + (10.0 * (step + 0.5) / steps);
            reached += 10.0 / steps * Math.Exp(-x * x / 2) / Math.Sqrt(2 * Math.PI);
            while (next < count && (next + 0.5) / count <= reached)
            {
                quantiles[next++] = MoeBFloat16.FromSingle((float)(deviation * x));
            }
        }

        quantiles.AsSpan(next).Fill(MoeBFloat16.FromSingle((float)(5 * deviation)));
        return quantiles;
    }
}
