namespace Moe.Plugins.Cpu;

/// <summary>
/// One weight matrix of all experts as panels of 32 rows: for each pair of inputs the codes of the panel's rows lie side by side, so
/// that one stream of loads fills the lanes of all vectors. Rows beyond the matrix are zeros.
/// </summary>
internal sealed unsafe class PanelMatrix : IDisposable
{
    private readonly NativeBuffer _codes;
    private readonly NativeBuffer? _scales;
    private readonly NativeBuffer _bias;
    private readonly long _panelCodeBytes;
    private readonly long _panelScaleBytes;

    public PanelMatrix(MoeWeightFormat format, int experts, int panels, int inputs)
    {
        Panels = panels;
        Pairs = (inputs + 1) / 2;
        _panelCodeBytes = (long)Pairs * PanelKernel.Rows * (format == MoeWeightFormat.Mxfp4 ? 1 : 4);
        _panelScaleBytes = format == MoeWeightFormat.Mxfp4 ? inputs / PanelKernel.BlockSize * PanelKernel.Rows : 0;
        _codes = new NativeBuffer(_panelCodeBytes * panels * experts);
        _scales = _panelScaleBytes == 0 ? null : new NativeBuffer(_panelScaleBytes * panels * experts);
        _bias = new NativeBuffer((long)panels * experts * PanelKernel.Rows * sizeof(float));
    }

    /// <summary>Panels of one expert.</summary>
    public int Panels { get; }

    /// <summary>Pairs of inputs; an odd last input has a partner of zero.</summary>
    public int Pairs { get; }

    public long ByteCount => _codes.ByteCount + (_scales?.ByteCount ?? 0) + _bias.ByteCount;

    public byte* Codes(int expert, int panel) => _codes.Pointer<byte>() + ((((long)expert * Panels) + panel) * _panelCodeBytes);

    public byte* Scales(int expert, int panel) =>
        _scales is null ? null : _scales.Pointer<byte>() + ((((long)expert * Panels) + panel) * _panelScaleBytes);

    /// <summary>The panel's 32 biases, zeros where the layer has none.</summary>
    public float* Bias(int expert, int panel) => _bias.Pointer<float>() + ((((long)expert * Panels) + panel) * PanelKernel.Rows);

    public void Dispose()
    {
        _codes.Dispose();
        _scales?.Dispose();
        _bias.Dispose();
    }
}
