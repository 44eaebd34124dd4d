namespace Moe.Plugins.Cpu;

/// <summary>
/// The buffers of one forward. Batches beyond <see cref="ChunkTokens"/> are taken in chunks, so that a workspace stays small whatever
/// the most tokens are; by then each expert has enough of them that reading its weights again costs little.
/// </summary>
internal sealed unsafe class CpuWorkspace : IMoeWorkspace
{
    private const int MaxChunkTokens = 256;

    private readonly List<NativeBuffer> _buffers = [];
    private readonly CpuForward _forward;
    private readonly bool _hasRouter;

    public CpuWorkspace(CpuWeights weights, CpuTeam team)
    {
        MoeLayerShape shape = weights.Config.Shape;
        _hasRouter = weights.Router is not null;
        ChunkTokens = Math.Min(weights.Config.MaxTokens, MaxChunkTokens);
        int pairs = checked(ChunkTokens * shape.TopK);
        try
        {
            Logits = Take<double>((long)ChunkTokens * shape.ExpertCount);
            Scratch = Take<double>(2L * ChunkTokens * shape.ExpertCount);
            Rows = Take<float>((long)ChunkTokens * shape.HiddenSize);
            Ids = Take<int>(pairs);
            Weights = Take<float>(pairs);
            Sums = Take<float>((long)ChunkTokens * Math.Max(RoundUp(shape.ExpertHiddenSize), RoundUp(shape.HiddenSize)));
            Experts = MakeBuffers(weights.Experts, new TokenBlocks(shape.LocalExpertCount, pairs), pairs);
            if (weights.Shared is not null || weights.LatentDown is not null)
            {
                Dense = new TokenBlocks(1, ChunkTokens);
            }

            Shared = weights.Shared is null ? null : MakeBuffers(weights.Shared, Dense!, ChunkTokens);
            SharedWeights = weights.SharedGate is null ? null : Take<float>(ChunkTokens);
            if (weights.LatentDown is not null)
            {
                Latent = Take<float>((long)ChunkTokens * RoundUp(shape.ExpertHiddenSize));
                DownRows = MakeRows(ChunkTokens, 2 * weights.LatentDown.Pairs, weights.LatentDown);
                UpRows = MakeRows(ChunkTokens, 2 * weights.LatentUp!.Pairs, weights.LatentUp);
            }
        }
        catch
        {
            Dispose();
            throw;
        }

        _forward = new CpuForward(weights, this, team);
    }

    public int ChunkTokens { get; }

    /// <summary>[tokens][experts].</summary>
    public double* Logits { get; }

    /// <summary>[tokens][2 · experts].</summary>
    public double* Scratch { get; }

    /// <summary>[tokens][hidden]: the input in float32.</summary>
    public float* Rows { get; }

    /// <summary>[tokens][top-k].</summary>
    public int* Ids { get; }

    /// <summary>[tokens][top-k].</summary>
    public float* Weights { get; }

    /// <summary>[tokens][<see cref="RoundUp"/> of the hidden size or the latent width]: the sums of a token's experts.</summary>
    public float* Sums { get; }

    public NetworkBuffers Experts { get; }

    /// <summary>Null where there are no shared experts.</summary>
    public NetworkBuffers? Shared { get; }

    /// <summary>[tokens]: how far the shared experts' gate opens; null where it has none.</summary>
    public float* SharedWeights { get; }

    /// <summary>All tokens as those of one expert; null where nothing asks for them.</summary>
    public TokenBlocks? Dense { get; }

    /// <summary>[tokens][<see cref="RoundUp"/> of the latent width]: what the experts read; null where they read the input.</summary>
    public float* Latent { get; }

    /// <summary>What the projection to the latent width multiplies.</summary>
    public PanelRows DownRows { get; }

    /// <summary>What the projection from the latent width multiplies.</summary>
    public PanelRows UpRows { get; }

    public long ByteCount => _buffers.Sum(buffer => buffer.ByteCount);

    /// <summary>Floats that a row of a product's outputs takes: whole panels.</summary>
    public static int RoundUp(int size) => (size + PanelKernel.Rows - 1) / PanelKernel.Rows * PanelKernel.Rows;

    public bool CanRoute => _hasRouter;

    public void Forward(MoeForwardArguments arguments) => _forward.Run(arguments);

    public void Route(MoeRouteArguments arguments) => _forward.Route(arguments);

    public void Dispose() => _buffers.ForEach(buffer => buffer.Dispose());

    private NetworkBuffers MakeBuffers(CpuNetwork network, TokenBlocks blocks, int pairs)
    {
        int outputWidth = network.Down.Panels * PanelKernel.Rows;
        return new NetworkBuffers(
            blocks,
            MakeRows(pairs, 2 * network.GateUp.Pairs, network.GateUp),
            MakeRows(pairs, network.GateUp.Panels * network.GateUp.PanelOutputs, network.Down),
            outputWidth,
            Take<float>((long)pairs * outputWidth));
    }

    private PanelRows MakeRows(int count, int width, PanelMatrix reader) => new(
        Take<float>((long)count * width), width, reader.DigitTokens == 0 ? null : Take<byte>(count * reader.DigitBytes), reader.DigitBytes);

    private T* Take<T>(long count)
        where T : unmanaged
    {
        var buffer = new NativeBuffer(count * sizeof(T));
        _buffers.Add(buffer);
        return buffer.Pointer<T>();
    }

    /// <summary>What a network reads and writes.</summary>
    internal sealed class NetworkBuffers(TokenBlocks blocks, PanelRows input, PanelRows activated, int outputWidth, float* output)
    {
        public TokenBlocks Blocks => blocks;

        /// <summary>What the first product multiplies.</summary>
        public PanelRows Input => input;

        /// <summary>What the activation writes and the second product multiplies.</summary>
        public PanelRows Activated => activated;

        /// <summary>Floats that a pair takes in <see cref="Output"/>.</summary>
        public int OutputWidth => outputWidth;

        /// <summary>[pairs in expert order][outputs], already weighted.</summary>
        public float* Output => output;
    }
}
