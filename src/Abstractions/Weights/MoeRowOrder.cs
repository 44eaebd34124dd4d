namespace Moe.Plugins;

/// <summary>How the outputs of an expert's first product are stored. A backend always reads them interleaved.</summary>
public enum MoeRowOrder
{
    /// <summary>Output 2i is gate i, output 2i + 1 is up i; also that of a matrix without gates.</summary>
    Interleaved = 0,

    /// <summary>All gates, then all ups, in one tensor.</summary>
    GateThenUp = 1,

    /// <summary>Gates and ups in tensors of their own: <see cref="MoeExpertMatrix.Up"/> has the ups.</summary>
    Separate = 2,
}
