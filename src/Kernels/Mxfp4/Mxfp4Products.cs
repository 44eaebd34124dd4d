using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Both products of all experts with MXFP4 weights and BF16 activations, on any device from compute capability 8.0 on.</summary>
public sealed class Mxfp4Products
{
    /// <summary>Sizes must be multiples of this: a block of MXFP4.</summary>
    public const int SizeUnit = 32;

    private readonly Dictionary<Mxfp4Variant, Mxfp4DecodeKernels> _decode = [];
    private readonly Dictionary<Mxfp4Variant, Mxfp4GroupedKernels> _grouped = [];
    private readonly Mxfp4MmaKernels? _mma;

    /// <summary>Gets the kernels that the plan may choose.</summary>
    /// <param name="library">The backend's kernels; its context must be current.</param>
    /// <param name="routing">The routing's kernels.</param>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="plan">Which kernels run what.</param>
    public Mxfp4Products(KernelLibrary library, RoutingKernels routing, MoeLayerShape shape, Mxfp4Plan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        Plan = plan;
        RowGather? gather = null;
        foreach (Mxfp4Variant variant in plan.Available)
        {
            switch (variant.Kind)
            {
                case Mxfp4Kind.Decode:
                    _decode[variant] = new Mxfp4DecodeKernels(library, routing, shape, variant.Tokens);
                    break;
                case Mxfp4Kind.Grouped:
                    gather ??= new RowGather(library, routing);
                    _grouped[variant] = new Mxfp4GroupedKernels(library, routing, gather, shape, variant);
                    break;
                default:
                    _mma = new Mxfp4MmaKernels(library, routing, shape);
                    break;
            }
        }
    }

    /// <summary>Which kernels run what.</summary>
    public Mxfp4Plan Plan { get; }

    /// <summary>Every source for an architecture.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture)
    {
        yield return Mxfp4Loader.Unit;
        yield return Mxfp4MmaKernels.Unit;
        foreach (Mxfp4Variant variant in Mxfp4Variant.All)
        {
            if (variant.Kind == Mxfp4Kind.Decode && architecture.Major >= 9)
            {
                yield return Mxfp4DecodeKernels.Unit(variant.Tokens);
            }
            else if (variant.Kind == Mxfp4Kind.Grouped && architecture.Number == Mxfp4GroupedKernels.ArchitectureNumber)
            {
                yield return Mxfp4GroupedTile.Of(variant).Unit;
            }
        }

        if (architecture.Number == Mxfp4GroupedKernels.ArchitectureNumber)
        {
            yield return RowGather.Unit;
        }
    }

    /// <summary>Rows of a row block that the sort is to make for so many tokens.</summary>
    public int BlockRows(int tokens) => Plan.Choose(tokens).Tokens;

    /// <summary>Enqueues both products.</summary>
    /// <returns>How the partial results lie in <see cref="Mxfp4Workspace.Partial"/>.</returns>
    public PartialLayout Run(in ExpertRows rows, Mxfp4Weights weights, Mxfp4Workspace workspace, nint stream)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(workspace);
        Mxfp4Variant variant = Plan.Choose(rows.Tokens);
        return variant.Kind switch
        {
            Mxfp4Kind.Decode => _decode[variant].Run(rows, weights, workspace, stream),
            Mxfp4Kind.Grouped => _grouped[variant].Run(rows, weights, workspace, stream),
            _ => _mma!.Run(rows, weights, workspace, stream),
        };
    }
}
