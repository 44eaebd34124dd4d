namespace Moe.Plugins.Kernels;

/// <summary>A batch whose pairs have been sorted by expert: what the experts' products and the combine need to know of it.</summary>
/// <param name="Rows">What the experts read.</param>
/// <param name="Ids">[tokens, top-k] int32 on the device, dense.</param>
/// <param name="Weights">[tokens, top-k] float32 on the device, dense.</param>
public readonly record struct RoutedBatch(ExpertRows Rows, nint Ids, nint Weights);
