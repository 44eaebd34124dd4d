namespace Moe.Plugins.Kernels;

/// <summary>How the partial results of the second product lie.</summary>
/// <param name="Splits">Parts of the inner dimension.</param>
/// <param name="IsBf16">Whether they are BF16, else float32.</param>
/// <param name="HasBias">Whether the product's bias is in them; else the combine adds it.</param>
public readonly record struct PartialLayout(int Splits, bool IsBf16, bool HasBias = false);
