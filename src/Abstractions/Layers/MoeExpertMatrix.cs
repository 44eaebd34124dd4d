namespace Moe.Plugins;

/// <summary>
/// One of the two weight matrices of all experts, as the checkpoint stores it. The rows of gate_up are interleaved: output 2i is
/// gate i, output 2i + 1 is up i.
/// </summary>
public sealed record MoeExpertMatrix
{
    /// <summary>
    /// BF16: [experts, rows, columns] in <see cref="Order"/>. MXFP4: [experts, outputs, inputs / 2] bytes, the low nibble the
    /// earlier input.
    /// </summary>
    public required MoeTensorView Values { get; init; }

    /// <summary>MXFP4 only: [experts, outputs, inputs / 32] E8M0 bytes, value 2^(byte − 127), 255 for NaN.</summary>
    public MoeTensorView Scales { get; init; }

    /// <summary>[experts, outputs] BF16 or float32; empty where the shape has no expert bias.</summary>
    public MoeTensorView Bias { get; init; }

    /// <summary>Which dimension runs along the rows; MXFP4 is always <see cref="MoeMatrixOrder.OutputMajor"/>.</summary>
    public MoeMatrixOrder Order { get; init; }
}
