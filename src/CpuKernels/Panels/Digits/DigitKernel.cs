namespace Moe.Plugins.Cpu;

/// <summary>
/// Multiplies a panel of MXFP4 with a few tokens as integers: codes are looked up as bytes, 64 in an instruction, and activations are digits
/// (<see cref="DigitBlocks{TDigits}"/>). A block's sums are exact, whatever the instructions, so that all of these kernels give the same bits.
/// </summary>
/// <remarks>
/// With floats the same panel takes a lookup and a multiplication for every 16 weights, which is more than reading them takes. The 16-bit sums of
/// a digit may wrap on the way, but end within 12 · 127 · 16.
/// </remarks>
internal abstract unsafe class DigitKernel
{
    /// <summary>Inputs of a word of weights.</summary>
    public const int WordInputs = 8;

    /// <summary>What is added to a code's value, counted in halves, so that it is not negative.</summary>
    public const int CodeOffset = 12;

    /// <summary>A byte for each code from 0 to 7, the lowest first: its value in halves, plus <see cref="CodeOffset"/>.</summary>
    public const ulong LowCodes = 0x181412100F0E0D0CUL;

    /// <summary>The same for codes 8 to 15.</summary>
    public const ulong HighCodes = 0x00040608090A0B0CUL;

    /// <summary>The most tokens of one call.</summary>
    public abstract int MaxTokens { get; }

    /// <summary>Whether it takes less time than a kernel of floats at any number of tokens, rather than at few.</summary>
    public abstract bool IsAhead { get; }

    /// <summary>The instructions that the kernel uses, for people.</summary>
    public abstract string Name { get; }

    /// <summary>Bytes of a token's inputs, a multiple of 32, as digits.</summary>
    public abstract long ByteCount(int inputs);

    /// <summary>Writes whole blocks of activations as digits.</summary>
    /// <param name="x">Activations, [tokens][width].</param>
    /// <param name="width">Floats from one token to the next.</param>
    /// <param name="first">The first input, a multiple of 32.</param>
    /// <param name="count">Inputs, a multiple of 32.</param>
    /// <param name="tokens">Tokens.</param>
    /// <param name="target">Result, [blocks][tokens], of all inputs.</param>
    public abstract void Encode(float* x, int width, int first, int count, int tokens, byte* target);

    /// <summary>Computes sums[token][row] = Σ over inputs of weight[row][input] · x[input][token]; NaN where an input of the token is no finite number.</summary>
    /// <param name="codes">The panel's codes, as <see cref="PanelKernel.Multiply"/> has them.</param>
    /// <param name="scales">For each block of 32 inputs the scale factors of the panel's 32 rows.</param>
    /// <param name="blocks">Blocks of 32 inputs.</param>
    /// <param name="digits">Activations, [blocks][tokens].</param>
    /// <param name="tokens">1 to <see cref="MaxTokens"/>.</param>
    /// <param name="sums">Result, [tokens][32].</param>
    public abstract void Multiply(byte* codes, byte* scales, int blocks, byte* digits, int tokens, float* sums);

    /// <summary>A kernel for so many digits.</summary>
    internal abstract class Of<TDigits> : DigitKernel
        where TDigits : struct, IDigits
    {
        public override bool IsAhead => TDigits.Count == 2;

        public sealed override long ByteCount(int inputs) => (long)inputs / PanelKernel.BlockSize * DigitBlocks<TDigits>.BlockBytes;

        public sealed override void Encode(float* x, int width, int first, int count, int tokens, byte* target) =>
            DigitBlocks<TDigits>.Encode(x, width, first, count, tokens, target, Layout(tokens));

        /// <summary>How a block of so many tokens is written.</summary>
        protected virtual DigitLayout Layout(int tokens) => DigitLayout.Pairs;
    }
}
