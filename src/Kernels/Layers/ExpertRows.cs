namespace Moe.Plugins.Kernels;

/// <summary>The activations that the experts read: BF16 rows, 16-byte aligned.</summary>
/// <param name="Address">The first row.</param>
/// <param name="Stride">Elements from one row to the next.</param>
/// <param name="Tokens">Rows.</param>
public readonly record struct ExpertRows(nint Address, long Stride, int Tokens);
