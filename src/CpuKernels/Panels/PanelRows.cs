namespace Moe.Plugins.Cpu;

/// <summary>
/// Activations as kernels read them, in blocks of a few tokens: within a block [inputs][tokens] for floats; where a matrix is multiplied with digits, as
/// those, and as [tokens][inputs] besides.
/// </summary>
internal readonly unsafe struct PanelRows(float* values, int width, byte* digits, long digitBytes)
{
    /// <summary>Floats that a token takes.</summary>
    public int Width => width;

    /// <summary>The values of the block that begins at a place.</summary>
    public float* Values(int start) => values + ((long)start * width);

    /// <summary>The first value of a token of that block.</summary>
    /// <param name="start">The block's place.</param>
    /// <param name="token">Which of its tokens.</param>
    /// <param name="step">What <see cref="PanelMatrix.Step"/> says of the block.</param>
    public float* Values(int start, int token, int step) => step == 1 ? Values(start + token) : Values(start) + token;

    /// <summary>The digits of the block that begins at a place.</summary>
    public byte* Digits(int start) => digits + (start * digitBytes);
}
