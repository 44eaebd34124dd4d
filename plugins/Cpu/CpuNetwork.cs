namespace Moe.Plugins.Cpu;

/// <summary>Two products with an activation between them: those of the experts, or those of the shared experts, which are one.</summary>
internal sealed class CpuNetwork : IDisposable
{
    public CpuNetwork(
        MoeActivation activation,
        MoeExpertMatrix gateUp,
        MoeExpertMatrix down,
        MoeWeightFormat format,
        int experts,
        int hiddenSize,
        int gateUpSize,
        int intermediateSize,
        bool isCoarse,
        CpuTeam team)
    {
        Activation = activation;
        IntermediateSize = intermediateSize;
        GateUp = new PanelMatrix(gateUp, format, experts, gateUpSize, hiddenSize, activation.IsGated, isCoarse, team);
        Down = new PanelMatrix(down, format, experts, hiddenSize, intermediateSize, isGated: false, isCoarse, team);
    }

    public MoeActivation Activation { get; }

    public int IntermediateSize { get; }

    public PanelMatrix GateUp { get; }

    public PanelMatrix Down { get; }

    public long ByteCount => GateUp.ByteCount + Down.ByteCount;

    /// <summary>The most tokens of a block.</summary>
    public int MaxTokens => Math.Min(GateUp.MaxTokens, Down.MaxTokens);

    public void LoadExpert(int expert)
    {
        GateUp.LoadExpert(expert);
        Down.LoadExpert(expert);
    }

    public void Dispose()
    {
        GateUp.Dispose();
        Down.Dispose();
    }
}
