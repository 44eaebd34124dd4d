namespace Moe.Plugins.Cpu;

/// <summary>Activations as kernels read them: in blocks of a few tokens, within a block [inputs][tokens], and as digits where a matrix is multiplied so.</summary>
internal readonly unsafe struct PanelRows(float* values, int width, byte* digits, long digitBytes)
{
    /// <summary>Floats that a token takes.</summary>
    public int Width => width;

    /// <summary>The values of the block that begins at a place.</summary>
    public float* Values(int start) => values + ((long)start * width);

    /// <summary>The digits of the block that begins at a place.</summary>
    public byte* Digits(int start) => digits + (start * digitBytes);
}
