namespace Moe.Plugins.Cpu;

/// <summary>
/// Multiplies a panel of 32 weight rows with a few tokens. The rows of a panel lie in the lanes of vectors, so that a weight is widened
/// once for all tokens, sums need no reduction, and the panel is read from front to back exactly once.
/// </summary>
internal abstract unsafe class PanelKernel
{
    /// <summary>Weight rows of a panel.</summary>
    public const int Rows = 32;

    /// <summary>Rows that fill the widest vector.</summary>
    public const int Half = Rows / 2;

    /// <summary>Inputs that share a scale factor, and that are summed before it is applied.</summary>
    public const int BlockSize = MoeExpertReader.Mxfp4Block;

    /// <summary>Bytes from a word of each row to the next word of each row.</summary>
    public const int WordBytes = Rows * sizeof(uint);

    /// <summary>How far before their use weights are fetched: processors' own prefetching ends with each 4 KB page.</summary>
    public const int Ahead = 4096;

    /// <summary>The most tokens of one call, on the processor that this runs on.</summary>
    public abstract int MaxTokens { get; }

    /// <summary>The instructions that the kernel uses, for people.</summary>
    public abstract string Name { get; }

    /// <summary>Computes sums[token][row] = Σ over inputs of weight[row][input] · x[input][token].</summary>
    /// <param name="codes">The panel's weights: for each few inputs a word of 32 bits of each of its 32 rows; 8 codes of MXFP4, or a pair of BF16.</param>
    /// <param name="scales">MXFP4: for each block of 32 inputs the scale factors of its 32 rows; else unused.</param>
    /// <param name="pairs">Pairs of inputs.</param>
    /// <param name="x">Activations, [2 · pairs][tokens].</param>
    /// <param name="tokens">1 to <see cref="MaxTokens"/>.</param>
    /// <param name="sums">Result, [tokens][32].</param>
    public abstract void Multiply(byte* codes, byte* scales, int pairs, float* x, int tokens, float* sums);
}
