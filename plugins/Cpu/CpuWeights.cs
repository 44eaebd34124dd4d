namespace Moe.Plugins.Cpu;

/// <summary>A layer's weights in the kernels' layout.</summary>
internal sealed class CpuWeights : IMoeWeights
{
    private readonly CpuTeam _team;

    private CpuWeights(MoeLayerConfig config, MoeWeightSource source, CpuTeam team)
    {
        MoeLayerShape shape = config.Shape;
        Config = config;

        // What is rounded to BF16 in the end needs no more bits on the way than its promise (CpuMethod) allows for.
        bool isCoarse = config.Options.OutputType != MoeElementType.Float32;
        _team = team;
        Experts = new CpuNetwork(
            shape.Activation,
            source.GateUp,
            source.Down,
            shape.WeightFormat,
            shape.LocalExpertCount,
            shape.ExpertHiddenSize,
            shape.GateUpSize,
            shape.IntermediateSize,
            isCoarse,
            team);
        if (shape.Shared is { } shared)
        {
            Shared = new CpuNetwork(
                shared.Activation,
                source.Shared!.GateUp,
                source.Shared.Down,
                shared.WeightFormat,
                experts: 1,
                shape.HiddenSize,
                shared.GateUpSize,
                shared.IntermediateSize,
                isCoarse,
                team);
            SharedGate = source.Shared.Gate?.ToSingles();
        }

        if (shape.Latent is { } latent)
        {
            LatentDown = new PanelMatrix(source.Latent!.Down, latent.WeightFormat, 1, latent.Width, shape.HiddenSize, isGated: false, isCoarse, team);
            LatentUp = new PanelMatrix(source.Latent.Up, latent.WeightFormat, 1, shape.HiddenSize, latent.Width, isGated: false, isCoarse, team);
            LatentNorm = source.Latent.Norm?.ToSingles();
        }
    }

    public MoeLayerConfig Config { get; }

    /// <summary>Null where the checkpoint has no router: the caller routes.</summary>
    public RouterWeights? Router { get; private set; }

    public CpuNetwork Experts { get; }

    /// <summary>Null where the layer has none.</summary>
    public CpuNetwork? Shared { get; }

    /// <summary>[hidden]; null where the shared experts have no gate.</summary>
    public float[]? SharedGate { get; }

    /// <summary>From the hidden size to the latent width; null where the experts are as wide as the layer.</summary>
    public PanelMatrix? LatentDown { get; }

    /// <summary>From the latent width to the hidden size.</summary>
    public PanelMatrix? LatentUp { get; }

    /// <summary>[latent width]; null where there is no norm.</summary>
    public float[]? LatentNorm { get; }

    public long ByteCount =>
        (Router?.ByteCount ?? 0) + Experts.ByteCount + (Shared?.ByteCount ?? 0) + (LatentDown?.ByteCount ?? 0) + (LatentUp?.ByteCount ?? 0);

    /// <summary>The most tokens of a block that all matrices take which all tokens go through.</summary>
    public int DenseTokens => Math.Min(
        Shared?.MaxTokens ?? int.MaxValue, Math.Min(LatentDown?.MaxTokens ?? int.MaxValue, LatentUp?.MaxTokens ?? int.MaxValue));

    public static CpuWeights Load(
        MoeLayerConfig config, MoeWeightSource source, CpuTeam team, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        var weights = new CpuWeights(config, source, team);
        try
        {
            weights.Load(source, progress, cancellationToken);
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    public IMoeWorkspace CreateWorkspace() => new CpuWorkspace(this, _team);

    public void Dispose()
    {
        Router?.Dispose();
        Experts.Dispose();
        Shared?.Dispose();
        LatentDown?.Dispose();
        LatentUp?.Dispose();
    }

    private void Load(MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        Router = source.RouterWeight is null ? null : new RouterWeights(source, Config.Shape);
        Shared?.LoadExpert(0);
        LatentDown?.LoadExpert(0);
        LatentUp?.LoadExpert(0);
        int loaded = 0;
        int experts = Config.Shape.LocalExpertCount;
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = _team.ThreadCount, CancellationToken = cancellationToken };
        try
        {
            Parallel.For(0, experts, parallel, expert =>
            {
                Experts.LoadExpert(expert);
                progress?.Report((double)Interlocked.Increment(ref loaded) / experts);
            });
        }
        catch (AggregateException exception) when (exception.InnerExceptions is [MoeException first, ..])
        {
            // A file that cannot be read is one reason, however many threads found it.
            throw new MoeException(first.Reason, first.Message, first);
        }
    }
}
