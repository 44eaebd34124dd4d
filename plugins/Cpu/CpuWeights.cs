namespace Moe.Plugins.Cpu;

/// <summary>A layer's weights in the kernels' layout. Gate and up rows are parted: the first half of a panel holds gates, the second half their ups.</summary>
internal sealed class CpuWeights : IMoeWeights
{
    private CpuWeights(MoeLayerShape shape, RouterWeights? router)
    {
        Router = router;
        GateUp = new PanelMatrix(
            shape.WeightFormat,
            shape.ExpertCount,
            (shape.IntermediateSize + PanelKernel.Half - 1) / PanelKernel.Half,
            shape.HiddenSize);
        Down = new PanelMatrix(
            shape.WeightFormat,
            shape.ExpertCount,
            (shape.HiddenSize + PanelKernel.Rows - 1) / PanelKernel.Rows,
            shape.IntermediateSize);
    }

    /// <summary>Null where the checkpoint has no router: the caller routes.</summary>
    public RouterWeights? Router { get; }

    public PanelMatrix GateUp { get; }

    public PanelMatrix Down { get; }

    public long ByteCount => (Router?.ByteCount ?? 0) + GateUp.ByteCount + Down.ByteCount;

    public static CpuWeights Load(
        MoeLayerShape shape, MoeWeightSource source, int threads, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        var weights = new CpuWeights(shape, source.RouterWeight.IsEmpty ? null : new RouterWeights(source, shape));
        try
        {
            int loaded = 0;
            var parallel = new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellationToken };
            Parallel.For(0, shape.ExpertCount, parallel, expert =>
            {
                weights.LoadExpert(shape, source, expert);
                progress?.Report((double)Interlocked.Increment(ref loaded) / shape.ExpertCount);
            });
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Router?.Dispose();
        GateUp.Dispose();
        Down.Dispose();
    }

    private void LoadExpert(MoeLayerShape shape, MoeWeightSource source, int expert)
    {
        Span<int> rows = stackalloc int[PanelKernel.Rows];
        for (int panel = 0; panel < GateUp.Panels; panel++)
        {
            for (int lane = 0; lane < rows.Length; lane++)
            {
                int neuron = (panel * PanelKernel.Half) + (lane % PanelKernel.Half);
                rows[lane] = neuron < shape.IntermediateSize ? (2 * neuron) + (lane / PanelKernel.Half) : -1;
            }

            PanelPacker.Pack(GateUp, source.GateUp, expert, panel, rows);
        }

        for (int panel = 0; panel < Down.Panels; panel++)
        {
            for (int lane = 0; lane < rows.Length; lane++)
            {
                int output = (panel * PanelKernel.Rows) + lane;
                rows[lane] = output < shape.HiddenSize ? output : -1;
            }

            PanelPacker.Pack(Down, source.Down, expert, panel, rows);
        }
    }
}
