namespace Moe.Plugins.Checkpoints;

/// <summary>What the checkpoint, and after it the caller, says about all layers of a model.</summary>
/// <param name="stated">The checkpoint's own settings, the most telling first.</param>
/// <param name="options">The caller's.</param>
internal sealed class ModelSettings(IReadOnlyList<CheckpointSettings> stated, CheckpointOptions options)
{
    private static readonly MoeActivation GptOss = MoeActivation.SwiGluOai();

    /// <summary>Checks a layer's sizes, as its tensors have them, against what is stated.</summary>
    /// <exception cref="MoeException">They differ.</exception>
    public void CheckSizes(string layer, int experts, int hidden, int intermediate)
    {
        Check(layer, "experts", experts, "num_local_experts");
        Check(layer, "hidden size", hidden, "hidden_size");
        Check(layer, "intermediate size", intermediate, "intermediate_size");
    }

    /// <summary>Experts that each token goes to.</summary>
    /// <exception cref="MoeException">Nobody says it.</exception>
    public int TopK(string layer)
    {
        foreach (CheckpointSettings settings in stated)
        {
            if (settings.Size("num_experts_per_tok", "experts_per_token") is int topK)
            {
                return topK;
            }
        }

        return options.TopK ?? throw Missing(layer, "num_experts_per_tok (top-k)");
    }

    /// <summary>GPT-OSS's activation with the model's constants.</summary>
    /// <exception cref="MoeException">Nobody says the clamp, and the model does not call itself gpt_oss.</exception>
    public MoeActivation Activation(string layer)
    {
        // transformers fixes both constants in GptOssExperts, so a config of that model type need not state them; and no model in this
        // naming has another alpha.
        bool isGptOss = stated.Any(settings => settings.Is("model_type", "gpt_oss"));
        float alpha = Factor("swiglu_alpha") ?? options.SwiGluAlpha ?? GptOss.Alpha;
        float limit = Factor("swiglu_limit") ?? options.SwiGluLimit ?? (isGptOss ? GptOss.Limit : throw Missing(layer, "swiglu_limit"));
        return MoeActivation.SwiGluOai(alpha, limit);
    }

    private float? Factor(string name) => stated.Select(settings => settings.Factor(name)).FirstOrDefault(value => value is not null);

    private void Check(string layer, string what, int found, string name)
    {
        foreach (CheckpointSettings settings in stated)
        {
            if (settings.Size(name) is int size && size != found)
            {
                throw new MoeException(
                    MoeReason.Checkpoint,
                    $"Layer '{layer}' has {what} {found} by its tensors, and {settings.Origin} has {name} = {size}.");
            }
        }
    }

    private MoeException Missing(string layer, string name)
    {
        string searched = stated.Count == 0 ? "there is no config.json and no metadata" : string.Join(" and ", stated.Select(s => s.Origin)) + " lack it";
        return new MoeException(
            MoeReason.Checkpoint,
            $"Layer '{layer}' needs {name}, and {searched}; open the model's folder with its config.json, or give it in {nameof(CheckpointOptions)}.");
    }
}
