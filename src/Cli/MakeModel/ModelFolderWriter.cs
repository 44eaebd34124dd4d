using System.Runtime.ExceptionServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Moe.Plugins.Checkpoints;
using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>Writes a model's folder: shards, their index and <c>config.json</c>. The index comes last, so that half a model is none.</summary>
internal static class ModelFolderWriter
{
    /// <summary>Shards are written at once: a large model has some for every processor.</summary>
    private const long ShardBytes = 1_000_000_000;

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <exception cref="MoeException">A file cannot be written.</exception>
    public static void Write(string folder, GptOssConfig config, ModelTensor[] tensors, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        WholeFile.Write(Path.Combine(folder, "config.json"), ToJson(config));
        List<List<ModelTensor>> shards = Divide(tensors);
        var places = new SortedDictionary<string, string>(StringComparer.Ordinal);
        double total = tensors.Sum(tensor => tensor.ByteCount);
        long written = 0;

        // As published, the number after "of" is the last shard's own.
        string[] files = shards.Count == 1
            ? ["model.safetensors"]
            : [.. Enumerable.Range(0, shards.Count).Select(shard => $"model-{shard:00000}-of-{shards.Count - 1:00000}.safetensors")];
        try
        {
            Parallel.For(0, shards.Count, new System.Threading.Tasks.ParallelOptions { CancellationToken = cancellationToken }, shard =>
            {
                var writer = new SafetensorsWriter { Metadata = { ["format"] = "pt" } };
                foreach (ModelTensor tensor in shards[shard])
                {
                    writer.AddStreamed(tensor.Name, tensor.Type, tensor.Shape, stream =>
                    {
                        tensor.Write(stream, cancellationToken);
                        progress?.Report(Interlocked.Add(ref written, tensor.ByteCount) / total);
                    });
                }

                writer.Save(Path.Combine(folder, files[shard]));
            });
        }
        catch (AggregateException exception)
        {
            ExceptionDispatchInfo.Throw(exception.InnerExceptions[0]);
        }

        for (int shard = 0; shard < shards.Count; shard++)
        {
            shards[shard].ForEach(tensor => places.Add(tensor.Name, files[shard]));
        }

        if (shards.Count > 1)
        {
            var index = new JsonObject
            {
                ["metadata"] = new JsonObject { ["total_size"] = (long)total },
                ["weight_map"] = new JsonObject(places.Select(place => KeyValuePair.Create(place.Key, (JsonNode?)place.Value))),
            };
            WholeFile.Write(Path.Combine(folder, "model.safetensors.index.json"), index.ToJsonString(Indented));
        }
    }

    private static List<List<ModelTensor>> Divide(ModelTensor[] tensors)
    {
        var shards = new List<List<ModelTensor>> { new() };
        long bytes = 0;
        foreach (ModelTensor tensor in tensors)
        {
            if (bytes > 0 && bytes + tensor.ByteCount > ShardBytes)
            {
                shards.Add([]);
                bytes = 0;
            }

            shards[^1].Add(tensor);
            bytes += tensor.ByteCount;
        }

        return shards;
    }

    /// <summary>The published form.</summary>
    private static string ToJson(GptOssConfig config)
    {
        var json = new JsonObject
        {
            ["architectures"] = new JsonArray("GptOssForCausalLM"),
            ["model_type"] = "gpt_oss",
            ["attention_bias"] = true,
            ["attention_dropout"] = 0.0,
            ["experts_per_token"] = config.TopK,
            ["head_dim"] = config.HeadSize,
            ["hidden_act"] = "silu",
            ["hidden_size"] = config.HiddenSize,
            ["initial_context_length"] = config.Rotary.OriginalContext,
            ["intermediate_size"] = config.IntermediateSize,
            ["layer_types"] = new JsonArray([.. config.IsSliding.Select(slides => (JsonNode)(slides ? "sliding_attention" : "full_attention"))]),
            ["max_position_embeddings"] = config.MaxPositions,
            ["num_attention_heads"] = config.HeadCount,
            ["num_experts_per_tok"] = config.TopK,
            ["num_hidden_layers"] = config.LayerCount,
            ["num_key_value_heads"] = config.KeyValueHeadCount,
            ["num_local_experts"] = config.ExpertCount,
            ["quantization_config"] = new JsonObject { ["quant_method"] = "mxfp4" },
            ["rms_norm_eps"] = config.NormEpsilon,
            ["rope_scaling"] = new JsonObject
            {
                ["rope_type"] = "yarn",
                ["factor"] = config.Rotary.Factor,
                ["beta_fast"] = config.Rotary.BetaFast,
                ["beta_slow"] = config.Rotary.BetaSlow,
                ["original_max_position_embeddings"] = config.Rotary.OriginalContext,
                ["truncate"] = config.Rotary.Truncate,
            },
            ["rope_theta"] = config.Rotary.Theta,
            ["sliding_window"] = config.SlidingWindow,
            ["swiglu_limit"] = config.SwiGluLimit,
            ["tie_word_embeddings"] = false,
            ["vocab_size"] = config.VocabularySize,
        };
        if (config.StoredLayerCount < config.LayerCount)
        {
            json["stored_layers"] = config.StoredLayerCount;
        }

        return json.ToJsonString(Indented);
    }
}
