using Contoso.MyBackend;
using Moe.Plugins;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

[assembly: MoePlugin("Contoso.MyBackend", typeof(Plugin))]

namespace Contoso.MyBackend;

/// <summary>The entry type: the host reads its name from the metadata, and makes it once.</summary>
public sealed class Plugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new Backend(context);

    /// <summary>Says which layers run, how well, and which kernels that takes. The base class knows devices and what router and combine can do.</summary>
    private sealed class Backend(IMoePluginContext context) : CudaBackend(context)
    {
        /// <summary>More is better where the host chooses; from 100 on are for GPUs.</summary>
        private const int Score = 110;

        protected override string? Refuse(MoeLayerShape shape) => shape.WeightFormat is not (MoeWeightFormat.Mxfp4 or MoeWeightFormat.BFloat16
                or MoeWeightFormat.Float16 or MoeWeightFormat.Float32 or MoeWeightFormat.Fp8Block or MoeWeightFormat.Nvfp4)
            ? $"it does not know the weight format {shape.WeightFormat}"
            : null;

        protected override (int Score, string Explanation) Rate(CudaArchitecture architecture, MoeLayerShape shape) =>
            (Score, $"weights become BF16 at load; kernels compiled for {architecture}");

        protected override CudaMethod CreateMethod(Func<KernelLibrary> library, MoeLayerShape shape) => new Method(library, shape);

        protected override IEnumerable<KernelUnit> Units(CudaArchitecture architecture) => [Method.Unit];
    }
}
