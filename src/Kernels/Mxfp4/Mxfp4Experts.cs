using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Experts with MXFP4 weights on BF16 tensor cores, on any device from compute capability 8.0 on.</summary>
public class Mxfp4Experts : CudaExperts
{
    private readonly Dictionary<Mxfp4Variant, Mxfp4GroupedKernels> _grouped = [];
    private readonly Mxfp4StreamKernels? _stream;
    private readonly Mxfp4MmaKernels? _mma;
    private readonly KernelLibrary _library;
    private readonly MoeLayerShape _shape;

    /// <summary>Gets the kernels that the plan may choose.</summary>
    /// <param name="library">The backend's kernels; its context must be current.</param>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="plan">Which kernels run what.</param>
    public Mxfp4Experts(KernelLibrary library, MoeLayerShape shape, Mxfp4Plan plan)
    {
        ArgumentNullException.ThrowIfNull(library);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(plan);
        Plan = plan;
        _library = library;
        _shape = shape;
        RowGather? gather = null;
        foreach (Mxfp4Variant variant in plan.Available)
        {
            if (variant.Kind == Mxfp4Kind.Mma)
            {
                _mma = new Mxfp4MmaKernels(library, shape, plan.Activations);
                continue;
            }

            if (variant.Kind == Mxfp4Kind.Stream)
            {
                _stream = new Mxfp4StreamKernels(library, shape, plan.Activations, plan.Dealing);
            }
            else
            {
                gather ??= new RowGather(library, plan.Activations);
                _grouped[variant] = new Mxfp4GroupedKernels(library, gather, shape, variant, plan.Activations, plan.Dealing);
            }
        }
    }

    /// <summary>Which kernels run what.</summary>
    public Mxfp4Plan Plan { get; }

    /// <inheritdoc/>
    public override bool HasCompany
    {
        get => Plan.HasCompany;
        set => Plan.HasCompany = value;
    }

    internal override void MakeRoomFor(MoeLayerShape shared) =>
        Plan.StreamsShared = Plan is { Streams: true, Activations: Mxfp4Activations.BFloat16 } && _stream!.MakeRoomFor(shared);

    internal override bool TakesShared(int tokens) => Plan.StreamsShared && Plan.Choose(tokens).Kind == Mxfp4Kind.Stream;

    /// <summary>Every source for an architecture and kind of activations, of weights as they were loaded.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture, Mxfp4Activations activations)
    {
        ArgumentCheck.ThrowIfUndefined(activations);
        return All(architecture, activations);
    }

    /// <summary>The sources of the products that only 9.0 has.</summary>
    public static IEnumerable<KernelUnit> Units(Mxfp4Activations activations, Mxfp4Dealing dealing)
    {
        ArgumentCheck.ThrowIfUndefined(activations);
        ArgumentCheck.ThrowIfUndefined(dealing);
        return OfHopper(activations, dealing);
    }

    private static IEnumerable<KernelUnit> All(CudaArchitecture architecture, Mxfp4Activations activations)
    {
        yield return Mxfp4Loader.Unit;
        yield return Mxfp4MmaKernels.Unit(activations);
        if (architecture.HasWgmma)
        {
            foreach (KernelUnit unit in Units(activations, Mxfp4Dealing.BFloat16))
            {
                yield return unit;
            }

            yield return RowGather.Unit(activations);
        }
    }

    private static IEnumerable<KernelUnit> OfHopper(Mxfp4Activations activations, Mxfp4Dealing dealing)
    {
        foreach (Mxfp4Variant variant in Mxfp4Variant.All.Where(
            variant => variant.Kind != Mxfp4Kind.Mma && (dealing == Mxfp4Dealing.BFloat16 || variant.Tokens <= Mxfp4Plan.FewTokens)))
        {
            if (variant.Kind == Mxfp4Kind.Stream)
            {
                foreach (string type in Mxfp4StreamKernels.Types(activations))
                {
                    yield return Mxfp4StreamKernels.Unit(activations, dealing, type);
                }

                continue;
            }

            foreach (string activation in ActivationConstants.Types.Where(
                type => type == ActivationConstants.Silu || (dealing == Mxfp4Dealing.BFloat16 && Mxfp4Variant.OfAnyActivation.Contains(variant))))
            {
                Mxfp4GroupedTile tile = Mxfp4GroupedTile.Of(variant, activation);
                yield return tile.First(activations, dealing);
                yield return tile.Second(dealing);
            }
        }
    }

    /// <summary>Why no device runs these products for a shape; null where one does.</summary>
    public static string? Refuse(MoeLayerShape shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        return shape.WeightFormat == MoeWeightFormat.Mxfp4 ? null : $"the weights are {shape.WeightFormat}, and it reads only MXFP4";
    }

    /// <inheritdoc/>
    public override CudaWeights LoadWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(source);
        return Mxfp4Weights.Load(_library, _shape, source, progress, cancellationToken);
    }

    /// <inheritdoc/>
    public override CudaWorkspace CreateWorkspace(MoeLayerConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return new Mxfp4Workspace(_library.Context, config);
    }

    /// <inheritdoc/>
    public override int BlockRows(int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        return Plan.Choose(tokens) is { Kind: Mxfp4Kind.Mma } variant ? variant.Tokens : 0;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Rows are BF16. Where activations are MXFP8, <see cref="Mxfp4Kind.Grouped"/> rounds them as it brings them into order, and for the others, which find a
    /// token's row by themselves, they are rounded already.
    /// </remarks>
    public override PartialLayout Run(in ExpertRows rows, CudaWeights weights, CudaWorkspace workspace, nint stream) =>
        Run(rows, weights, workspace, shared: null, stream);

    internal override PartialLayout RunWithShared(
        in ExpertRows rows, CudaWeights weights, CudaWorkspace workspace, in SharedOfStream shared, nint stream) =>
        Run(rows, weights, workspace, shared, stream);

    private PartialLayout Run(in ExpertRows rows, CudaWeights weights, CudaWorkspace workspace, SharedOfStream? shared, nint stream)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(workspace);
        var own = (Mxfp4Weights)weights;
        var buffers = (Mxfp4Workspace)workspace;
        Mxfp4Variant variant = Plan.Choose(rows.Tokens);
        if (variant.Kind == Mxfp4Kind.Stream)
        {
            return _stream!.Run(rows, own, buffers, shared, stream);
        }

        return variant.Kind == Mxfp4Kind.Mma ? _mma!.Run(rows, own, buffers, stream) : _grouped[variant].Run(rows, own, buffers, stream);
    }
}
