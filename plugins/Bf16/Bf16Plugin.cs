using Moe.Plugins;
using Moe.Plugins.Bf16;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

[assembly: MoePlugin("Bf16", typeof(Bf16Plugin))]

namespace Moe.Plugins.Bf16;

/// <summary>Runs layers with BF16 weights on CUDA devices from compute capability 8.0 on; MXFP4 weights are widened at load.</summary>
public sealed class Bf16Plugin : IMoePlugin
{
    /// <inheritdoc/>
    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return new Bf16Backend(context);
    }

    private sealed class Bf16Backend(IMoePluginContext context) : CudaBackend(context)
    {
        private const int NativeScore = 220;

        /// <summary>MXFP4 weights run, but four times as many bytes are read as they have.</summary>
        private const int WideningScore = 120;

        protected override string? Refuse(MoeLayerShape shape) =>
            Bf16Experts.Reads(shape.WeightFormat) ? null : $"it does not know the weight format {shape.WeightFormat}";

        protected override (int Score, string Explanation) Rate(CudaArchitecture architecture, MoeLayerShape shape) =>
            shape.WeightFormat == MoeWeightFormat.BFloat16
                ? (NativeScore, $"kernels {TunedFor(architecture)}")
                : (WideningScore, $"{shape.WeightFormat} weights become BF16 at load; kernels {TunedFor(architecture)}");

        protected override CudaMethod CreateMethod(Func<KernelLibrary> library, MoeLayerShape shape) => new Bf16Method(library, shape);

        protected override IEnumerable<KernelUnit> Units(CudaArchitecture architecture) => Bf16Experts.Units(architecture);
    }
}
