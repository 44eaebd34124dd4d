namespace Moe.Plugins;

/// <summary>What a group of experts is worth when groups are kept or dropped.</summary>
public enum MoeGroupRule
{
    /// <summary>The sum of its two largest scores, selection bias included (DeepSeek-V3).</summary>
    SumOfTopTwo = 0,

    /// <summary>Its largest score (DeepSeek-V2).</summary>
    Max = 1,
}
