namespace Moe.Plugins.Cpu;

/// <summary>
/// Multiplies a panel of MXFP4 with a few tokens as integers: codes are looked up as bytes, 64 in an instruction, and activations are digits
/// (<see cref="DigitBlocks"/>). A block's sums are exact, whatever the instructions, so that all of these kernels give the same bits.
/// </summary>
/// <remarks>
/// For each digit Σ code · d is at most 32 · 24 · 64 and fits 16 bits; Σ code · x fits 32. With floats the same panel takes a lookup and a
/// multiplication for every 16 weights, which is more than reading them takes.
/// </remarks>
internal abstract unsafe class DigitKernel
{
    /// <summary>The most tokens of one call.</summary>
    public abstract int MaxTokens { get; }

    /// <summary>The instructions that the kernel uses, for people.</summary>
    public abstract string Name { get; }

    /// <summary>Computes sums[token][row] = Σ over inputs of weight[row][input] · x[input][token]; NaN where an input of the token is no finite number.</summary>
    /// <param name="codes">The panel's codes, as <see cref="PanelKernel.Multiply"/> has them.</param>
    /// <param name="scales">For each block of 32 inputs the scale factors of the panel's 32 rows.</param>
    /// <param name="blocks">Blocks of 32 inputs.</param>
    /// <param name="digits">Activations, [blocks][tokens] of <see cref="DigitBlocks"/>.</param>
    /// <param name="tokens">1 to <see cref="MaxTokens"/>.</param>
    /// <param name="sums">Result, [tokens][32].</param>
    public abstract void Multiply(byte* codes, byte* scales, int blocks, byte* digits, int tokens, float* sums);
}
