using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>
/// The same numbers on BF16 tensor cores, on any device from compute capability 8.0 on: E4M3 and E2M1 values times powers of two are BF16
/// numbers, so that products of widened codes are those of the codes. The caller's rows are rounded to such numbers, as they are brought into the experts' order
/// where they are; the first product's results are rounded in its registers.
/// </summary>
internal sealed class WidenedExperts(KernelLibrary library, MoeLayerShape shape, Mxfp4Variant? forced, Mxfp4Dealing dealing = Mxfp4Dealing.BFloat16)
    : Mxfp4Experts(library, shape, new Mxfp4Plan(library.Context.Device.Architecture, shape, forced, Mxfp4Activations.Mxfp8, dealing))
{
    private readonly MoeLayerShape _shape = shape;
    private readonly Mxfp8Quantizer _quantizer = new(library);
    private readonly CudaContext _context = library.Context;

    /// <summary>The sources beside those that every kind of experts has.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture) => Mxfp4Experts.Units(architecture, Mxfp4Activations.Mxfp8);

    public override CudaWorkspace CreateWorkspace(MoeLayerConfig config) => new WidenedWorkspace(_context, config, RoundedTokens(config));

    /// <summary>The most tokens of a batch whose rows are rounded before the kernels that read them.</summary>
    public int RoundedTokens(MoeLayerConfig config) => Plan.MostUngrouped(config.MaxTokens);

    public override PartialLayout Run(in ExpertRows rows, CudaWeights weights, CudaWorkspace workspace, nint stream)
    {
        // What brings rows into order rounds them, where anything does.
        ExpertRows rounded = Plan.Choose(rows.Tokens).Kind == Mxfp4Kind.Grouped
            ? rows
            : _quantizer.Round(rows, _shape.HiddenSize, ((WidenedWorkspace)workspace).RoundedRows, stream);
        return base.Run(rounded, weights, workspace, stream);
    }
}
