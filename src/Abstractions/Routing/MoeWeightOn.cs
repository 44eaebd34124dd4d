namespace Moe.Plugins;

/// <summary>What an expert's weight multiplies.</summary>
public enum MoeWeightOn
{
    /// <summary>The expert's output, its bias included.</summary>
    Output = 0,

    /// <summary>The expert's input; its output counts once (Llama-4).</summary>
    Input = 1,
}
