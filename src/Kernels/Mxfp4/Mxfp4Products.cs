using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Both products of all experts with MXFP4 weights on BF16 tensor cores, on any device from compute capability 8.0 on.</summary>
public sealed class Mxfp4Products
{
    /// <summary>Sizes must be multiples of this: a block of MXFP4.</summary>
    public const int SizeUnit = 32;

    private readonly Dictionary<Mxfp4Variant, Mxfp4GroupedKernels> _grouped = [];
    private readonly Mxfp4MmaKernels? _mma;
    private readonly Mxfp8Gather? _widening;
    private readonly MoeLayerShape _shape;

    /// <summary>Gets the kernels that the plan may choose.</summary>
    /// <param name="library">The backend's kernels; its context must be current.</param>
    /// <param name="routing">The routing's kernels.</param>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="plan">Which kernels run what.</param>
    public Mxfp4Products(KernelLibrary library, RoutingKernels routing, MoeLayerShape shape, Mxfp4Plan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        Plan = plan;
        _shape = shape;
        _widening = plan.Activations == Mxfp4Activations.Mxfp8 ? new Mxfp8Gather(library, routing) : null;
        IRowGather? gather = _widening;
        foreach (Mxfp4Variant variant in plan.Available)
        {
            if (variant.Kind == Mxfp4Kind.Grouped)
            {
                gather ??= new RowGather(library, routing);
                _grouped[variant] = new Mxfp4GroupedKernels(library, routing, gather, shape, variant, plan.Activations);
            }
            else
            {
                _mma = new Mxfp4MmaKernels(library, routing, shape, plan.Activations);
            }
        }
    }

    /// <summary>Which kernels run what.</summary>
    public Mxfp4Plan Plan { get; }

    /// <summary>Every source for an architecture and kind of activations.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture, Mxfp4Activations activations)
    {
        yield return Mxfp4Loader.Unit;
        yield return Mxfp4MmaKernels.Unit(activations);
        bool runsGrouped = architecture.Number == Mxfp4GroupedKernels.ArchitectureNumber;
        foreach (Mxfp4Variant variant in Mxfp4Variant.All)
        {
            if (variant.Kind == Mxfp4Kind.Grouped && runsGrouped)
            {
                yield return Mxfp4GroupedTile.Of(variant).Unit(activations);
            }
        }

        if (activations == Mxfp4Activations.Mxfp8)
        {
            yield return Mxfp8Gather.Unit;
        }
        else if (runsGrouped)
        {
            yield return RowGather.Unit;
        }
    }

    /// <summary>Rows of a row block that the sort is to make for so many tokens; 0 where the kernels make their own tiles.</summary>
    public int BlockRows(int tokens) => Plan.Choose(tokens) is { Kind: Mxfp4Kind.Mma } variant ? variant.Tokens : 0;

    /// <summary>Enqueues both products.</summary>
    /// <param name="rows">The activations, of the kind that the plan says; MXFP8 ones in another buffer than the workspace's rows.</param>
    /// <param name="weights">The weights.</param>
    /// <param name="workspace">The buffers. The rows of its routing are overwritten with MXFP8 activations.</param>
    /// <param name="stream">The stream.</param>
    /// <returns>How the partial results lie in <see cref="Mxfp4Workspace.Partial"/>.</returns>
    public PartialLayout Run(in ExpertRows rows, Mxfp4Weights weights, Mxfp4Workspace workspace, nint stream)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(workspace);
        Mxfp4Variant variant = Plan.Choose(rows.Tokens);
        if (variant.Kind == Mxfp4Kind.Grouped)
        {
            return _grouped[variant].Run(rows, weights, workspace, stream);
        }

        // These find a token's row by themselves, and read BF16. Whatever the router needed of its rows, it has read by then.
        ExpertRows wide = _widening?.Widen(rows, _shape, workspace.Routing.Rows, stream) ?? rows;
        return _mma!.Run(wide, weights, workspace, stream);
    }
}
