using Moe.Plugins;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;
using Moe.Plugins.Marlin;

[assembly: MoePlugin("Mxfp4.Marlin", typeof(MarlinPlugin))]

namespace Moe.Plugins.Marlin;

/// <summary>Runs layers with MXFP4 weights and BF16 activations on CUDA devices from compute capability 8.0 on.</summary>
/// <remarks>Setting <c>Kernels</c>: one variant (<c>grouped32x64</c>, <c>mma64x128</c>, …) for every number of tokens; without it
/// the fastest is chosen.</remarks>
public sealed class MarlinPlugin : IMoePlugin
{
    /// <inheritdoc/>
    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return new MarlinBackend(context);
    }

    private sealed class MarlinBackend(IMoePluginContext context) : CudaBackend(context)
    {
        private const string KernelsSetting = "Kernels";

        /// <summary>Where it was tuned, or where nothing reads MXFP4 weights natively, it comes before all others.</summary>
        private const int TunedScore = 300;

        /// <summary>On devices with an MXFP4 matrix instruction of their own.</summary>
        private const int OtherScore = 200;

        private readonly Mxfp4Variant? _forced = Mxfp4Variant.Read(context, KernelsSetting);

        protected override string? Refuse(MoeLayerShape shape) => Mxfp4Experts.Refuse(shape);

        protected override (int Score, string Explanation) Rate(CudaArchitecture architecture, MoeLayerShape shape) => architecture.Major <= 9
            ? (TunedScore, $"MXFP4 weights are read as they are and widened in registers, the least there is to read; kernels {TunedFor(architecture)}")
            : (OtherScore, $"MXFP4 weights are widened in registers, though this device could multiply them as they are; kernels {TunedFor(architecture)}");

        protected override CudaMethod CreateMethod(Func<KernelLibrary> library, MoeLayerShape shape) => new MarlinMethod(library, shape, _forced);

        protected override IEnumerable<KernelUnit> Units(CudaArchitecture architecture) =>
            Mxfp4Experts.Units(architecture, Mxfp4Activations.BFloat16);
    }
}
