namespace Moe.Plugins.Kernels;

/// <summary>The activations that the experts read: BF16 rows, 16-byte aligned, or rows of MXFP8 where there are scales.</summary>
/// <param name="Address">The first row.</param>
/// <param name="Stride">Elements from one row to the next.</param>
/// <param name="Tokens">Rows.</param>
/// <param name="Scales">0, or [tokens, stride / 32] E8M0: the elements are E4M3 codes then.</param>
public readonly record struct ExpertRows(nint Address, long Stride, int Tokens, nint Scales = 0);
