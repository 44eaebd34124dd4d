namespace Moe.Plugins.Cpu;

/// <summary>Activations as kernels read them: in blocks of a few tokens, within a block [inputs][tokens], and as digits where a matrix is multiplied so.</summary>
internal readonly unsafe struct PanelRows(float* values, int width, byte* digits)
{
    private readonly long _digitBytes = DigitBlocks.ByteCount(width);

    /// <summary>Floats that a token takes.</summary>
    public int Width => width;

    /// <summary>The values of the block that begins at a place.</summary>
    public float* Values(int start) => values + ((long)start * width);

    /// <summary>The digits of the block that begins at a place.</summary>
    public byte* Digits(int start) => digits + (start * _digitBytes);

    /// <summary>Writes the digits of some inputs of a block where the matrix that reads them takes digits.</summary>
    /// <param name="reader">The matrix.</param>
    /// <param name="start">The block's first place.</param>
    /// <param name="tokens">Its tokens.</param>
    /// <param name="first">The first input, a multiple of 32.</param>
    /// <param name="count">Inputs, a multiple of 32.</param>
    public void Encode(PanelMatrix reader, int start, int tokens, int first, int count)
    {
        if (tokens <= reader.DigitTokens)
        {
            DigitBlocks.Encode(Values(start), first, count, tokens, Digits(start));
        }
    }
}
