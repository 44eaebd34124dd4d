using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>All of a layer's weights on a device: the router's, the experts', and those of what stands around them.</summary>
internal sealed class LayerWeights : DeviceArena
{
    private LayerWeights(CudaContext context)
        : base(context)
    {
    }

    /// <summary>Null where the checkpoint has none: the caller routes.</summary>
    public RouterTensors? Router { get; private set; }

    public CudaWeights Experts { get; private set; } = null!;

    /// <summary>Null where there are none.</summary>
    public CudaWeights? Shared { get; private set; }

    /// <summary>The shared experts' matrices as they are stored in FP8, beside the same in BF16, which many tokens read; null where they are not.</summary>
    public (E4M3Matrix Up, E4M3Matrix Down)? SharedCodes { get; private set; }

    /// <summary>[hidden] float32, or 0 where shared experts have no gate.</summary>
    public nint SharedGate { get; private set; }

    /// <summary>From the hidden size to the latent width; null where the experts are as wide as the layer.</summary>
    public Bf16Matrix? LatentDown { get; private set; }

    /// <summary>From the latent width to the hidden size.</summary>
    public Bf16Matrix? LatentUp { get; private set; }

    /// <summary>[latent width] float32, or 0 where there is no norm.</summary>
    public nint LatentNorm { get; private set; }

    /// <summary>The largest of the networks' rounding errors.</summary>
    public double RoundingError { get; private set; }

    /// <summary>Loads a layer. The context must be current.</summary>
    /// <exception cref="MoeException">The device is out of memory or failed, or a tensor cannot be read.</exception>
    public static LayerWeights Load(
        CudaLayer layer, LayerNetworks networks, MoeLayerShape shape, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        var weights = new LayerWeights(layer.Library.Context);
        try
        {
            weights.LoadRouter(shape, source);
            weights.LoadShared(layer, networks, source, cancellationToken);
            weights.LoadLatent(layer, shape, source, cancellationToken);
            weights.Experts = weights.Add(layer.Experts.LoadWeights(networks.Experts, source, progress, cancellationToken));
            weights.RoundingError = Math.Max(weights.RoundingError, Math.Max(weights.Experts.RoundingError, weights.Shared?.RoundingError ?? 0));

            // The source's memory is the caller's again once this returns, and other streams read the weights.
            weights.Context.UseStream(0).Synchronize();
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    private void LoadRouter(MoeLayerShape shape, MoeWeightSource source) =>
        Router = source.RouterWeight is null ? null : Add(new RouterTensors(Context, source, shape));

    private void LoadShared(CudaLayer layer, LayerNetworks networks, MoeWeightSource source, CancellationToken cancellationToken)
    {
        if (source.Shared is { } shared)
        {
            var own = new MoeWeightSource { GateUp = shared.GateUp, Down = shared.Down };
            Shared = Add(layer.Shared!.LoadWeights(networks.Shared!, own, progress: null, cancellationToken));
            MoeLayerShape shape = networks.Shared!.Shape;
            if (shape.WeightFormat == MoeWeightFormat.Fp8Block
                && E4M3Matrix.Read(Context, shared.GateUp, shape.GateUpSize, shape.HiddenSize, shape.Activation.IsGated) is { } up)
            {
                Add(up);
                if (E4M3Matrix.Read(Context, shared.Down, shape.HiddenSize, shape.IntermediateSize, isGateUp: false) is { } down)
                {
                    SharedCodes = (up, Add(down));
                }
            }

            SharedGate = HostFloats.Upload(this, shared.Gate);
        }
    }

    private void LoadLatent(CudaLayer layer, MoeLayerShape shape, MoeWeightSource source, CancellationToken cancellationToken)
    {
        if (source.Latent is not { } latent)
        {
            return;
        }

        int width = shape.ExpertHiddenSize;
        LatentDown = Add(new Bf16Matrix(Context, 1, width, shape.HiddenSize));
        LatentUp = Add(new Bf16Matrix(Context, 1, shape.HiddenSize, width));
        var loader = new Bf16Loader(layer.Library, shape.Latent!.WeightFormat);
        loader.Load([(LatentDown, latent.Down), (LatentUp, latent.Up)], progress: null, cancellationToken);
        RoundingError = loader.Rounding.RelativeError;
        LatentNorm = HostFloats.Upload(this, latent.Norm);
    }
}
