namespace Moe.Plugins.Cpu;

/// <summary>
/// The buffers of one forward. Batches beyond <see cref="ChunkTokens"/> are taken in chunks, so that a workspace stays small whatever
/// the most tokens are; by then each expert has enough of them that reading its weights again costs little.
/// </summary>
internal sealed unsafe class CpuWorkspace : IMoeWorkspace
{
    private const int MaxChunkTokens = 256;

    private readonly NativeBuffer _logits;
    private readonly NativeBuffer _routerInput;
    private readonly NativeBuffer _ids;
    private readonly NativeBuffer _weights;
    private readonly NativeBuffer _input;
    private readonly NativeBuffer _activated;
    private readonly NativeBuffer _output;

    public CpuWorkspace(MoeLayerConfig config)
    {
        MoeLayerShape shape = config.Shape;
        Config = config;
        ChunkTokens = Math.Min(config.MaxTokens, MaxChunkTokens);
        long pairs = (long)ChunkTokens * shape.TopK;
        InputWidth = (shape.HiddenSize + 1) / 2 * 2;
        ActivatedWidth = RoundUp(shape.IntermediateSize, PanelKernel.Half);
        OutputWidth = RoundUp(shape.HiddenSize, PanelKernel.Rows);
        _logits = new NativeBuffer((long)ChunkTokens * shape.ExpertCount * sizeof(double));
        _routerInput = new NativeBuffer((long)ChunkTokens * shape.HiddenSize * sizeof(float));
        _ids = new NativeBuffer(pairs * sizeof(int));
        _weights = new NativeBuffer(pairs * sizeof(float));
        _input = new NativeBuffer(pairs * InputWidth * sizeof(float));
        _activated = new NativeBuffer(pairs * ActivatedWidth * sizeof(float));
        _output = new NativeBuffer(pairs * OutputWidth * sizeof(float));
        Blocks = new TokenBlocks(shape.ExpertCount, checked((int)pairs));
        Forward = new CpuForward(this);
    }

    public MoeLayerConfig Config { get; }

    public int ChunkTokens { get; }

    /// <summary>Floats that a token takes in <see cref="Input"/>.</summary>
    public int InputWidth { get; }

    /// <summary>Floats that a pair takes in <see cref="Activated"/>.</summary>
    public int ActivatedWidth { get; }

    /// <summary>Floats that a pair takes in <see cref="Output"/>.</summary>
    public int OutputWidth { get; }

    public TokenBlocks Blocks { get; }

    public CpuForward Forward { get; }

    /// <summary>[tokens][experts].</summary>
    public double* Logits => _logits.Pointer<double>();

    /// <summary>[tokens][hidden].</summary>
    public float* RouterInput => _routerInput.Pointer<float>();

    /// <summary>[tokens][top-k].</summary>
    public int* Ids => _ids.Pointer<int>();

    /// <summary>[tokens][top-k].</summary>
    public float* Weights => _weights.Pointer<float>();

    /// <summary>For each block [inputs][tokens of the block].</summary>
    public float* Input => _input.Pointer<float>();

    /// <summary>For each block [neurons][tokens of the block].</summary>
    public float* Activated => _activated.Pointer<float>();

    /// <summary>[pairs in expert order][outputs], already weighted.</summary>
    public float* Output => _output.Pointer<float>();

    public long ByteCount =>
        _logits.ByteCount + _routerInput.ByteCount + _ids.ByteCount + _weights.ByteCount + _input.ByteCount + _activated.ByteCount + _output.ByteCount;

    public void Dispose()
    {
        _logits.Dispose();
        _routerInput.Dispose();
        _ids.Dispose();
        _weights.Dispose();
        _input.Dispose();
        _activated.Dispose();
        _output.Dispose();
    }

    private static int RoundUp(int size, int multiple) => (size + multiple - 1) / multiple * multiple;
}
