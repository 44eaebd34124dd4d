using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The device buffers of one stream's forwards through a whole layer.</summary>
internal sealed class LayerWorkspace : DeviceArena
{
    /// <summary>Allocates. The context must be current.</summary>
    public LayerWorkspace(CudaLayer layer, LayerNetworks networks, MoeLayerConfig config)
        : base(layer.Library.Context)
    {
        try
        {
            Fill(layer, networks, config);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public RouterBuffers Router { get; private set; } = null!;

    public CudaWorkspace Experts { get; private set; } = null!;

    /// <summary>Null where there are no shared experts.</summary>
    public CudaWorkspace? Shared { get; private set; }

    /// <summary>Where shared experts run beside everything else; null where there are none.</summary>
    public SideStream? Side { get; private set; }

    /// <summary>[tokens] float32: how far the shared experts' gate opens.</summary>
    public nint SharedOpened { get; private set; }

    /// <summary>What <see cref="Bf16SharedExpert"/> counts; launches find zeros here and leave zeros behind.</summary>
    public nint SharedCounters { get; private set; }

    /// <summary>[1] int32: tiles of the shared experts' first product that a stream with them has stored.</summary>
    public nint SharedStored { get; private set; }

    /// <summary>[pairs, width] BF16: tokens times weights, where those are on the input.</summary>
    public nint WeighedRows { get; private set; }

    /// <summary>[tokens] int32: the one expert that every token goes to.</summary>
    public nint NoIds { get; private set; }

    /// <summary>[pairs] float32: 1 each.</summary>
    public nint Ones { get; private set; }

    /// <summary>The tokens in their own order, as latent projections read them; null where there are none.</summary>
    public RoutingBuffers? Projection { get; private set; }

    /// <summary>[parts, tokens, hidden or latent width] float32: a projection's partial results.</summary>
    public nint Projected { get; private set; }

    /// <summary>[tokens, latent width] BF16: what the experts read, and then their sums.</summary>
    public nint LatentRows { get; private set; }

    /// <summary>[tokens, latent width] float32: the experts' sums before their norm.</summary>
    public nint LatentSums { get; private set; }

    protected override void DisposeOwn() => Side?.Dispose();

    private void Fill(CudaLayer layer, LayerNetworks networks, MoeLayerConfig config)
    {
        MoeLayerShape shape = config.Shape;
        long tokens = config.MaxTokens;
        long pairs = tokens * shape.TopK;
        Router = Add(new RouterBuffers(Context, config));
        Experts = Add(layer.Experts.CreateWorkspace(networks.Experts));
        NoIds = Allocate(tokens * sizeof(int));
        CudaMemory.Fill(NoIds, 0, tokens * sizeof(int), 0);
        float[] ones = new float[pairs];
        Array.Fill(ones, 1);
        Ones = Upload<float>(ones);
        if (LayerNetworks.WeighsInput(shape))
        {
            WeighedRows = Allocate(pairs * shape.ExpertHiddenSize * sizeof(ushort));
        }

        if (networks.Shared is not null)
        {
            Shared = Add(layer.Shared!.CreateWorkspace(networks.Shared));
            Side = new SideStream(Context);
            SharedOpened = Allocate(tokens * sizeof(float));
            SharedCounters = Allocate(Bf16SharedExpert.Counters * sizeof(int));
            SharedStored = Allocate(sizeof(int));
            CudaMemory.Fill(SharedCounters, 0, Bf16SharedExpert.Counters * sizeof(int), 0);
        }

        if (networks.Projection is not null)
        {
            int width = shape.ExpertHiddenSize;
            Projection = Add(new RoutingBuffers(Context, networks.Projection));
            Projected = Allocate(Bf16Plan.MaxPartialRows(tokens) * Math.Max(width, shape.HiddenSize) * sizeof(float));
            LatentRows = Allocate(tokens * width * sizeof(ushort));
            LatentSums = Allocate(tokens * width * sizeof(float));
        }

        Context.UseStream(0).Synchronize();
    }
}
