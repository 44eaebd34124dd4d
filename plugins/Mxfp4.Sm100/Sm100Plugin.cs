using Moe.Plugins;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;
using Moe.Plugins.Sm100;

[assembly: MoePlugin("Mxfp4.Sm100", typeof(Sm100Plugin))]

namespace Moe.Plugins.Sm100;

/// <summary>Runs layers with MXFP4 weights and MXFP8 activations, from the caller's unpadded rows to the caller's unpadded rows.</summary>
/// <remarks>
/// Setting <c>Native</c>, false by default: whether compute capability 10.0 and 10.3 run the kernels on their block-scaled matrix
/// instruction, which have never run on hardware. Setting <c>Kernels</c>: one variant (<c>grouped32x64</c>, …) of the others for every number
/// of tokens; without it the fastest is chosen. Setting <c>Fp8</c>, Off by default: On runs
/// the products on the FP8 tensor cores of compute capability 9.0, Auto those of many tokens, for which that is faster.
/// </remarks>
public sealed class Sm100Plugin : IMoePlugin
{
    /// <inheritdoc/>
    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return new Sm100Backend(context);
    }

    private sealed class Sm100Backend(IMoePluginContext context) : CudaBackend(context)
    {
        private const string NativeSetting = "Native";
        private const string KernelsSetting = "Kernels";
        private const string Fp8Setting = "Fp8";

        /// <summary>With instructions made for the format, but nobody has seen them run.</summary>
        private const int NativeScore = 300;

        /// <summary>Behind BF16 activations with the same weights, which lose less at the same cost; before weights that are widened at load.</summary>
        private const int WidenedScore = 150;

        private readonly bool _native = ReadNative(context);
        private readonly Fp8Use _fp8 = ReadFp8(context);
        private readonly Mxfp4Variant? _forced = Mxfp4Variant.Read(context, KernelsSetting);

        protected override string? Refuse(MoeLayerShape shape) => Mxfp4Experts.Refuse(shape);

        protected override (int Score, string Explanation) Rate(CudaArchitecture architecture, MoeLayerShape shape)
        {
            const string widened = "MXFP8 activations and MXFP4 weights are widened to BF16, which is exact, on the tensor cores of any device; ";
            const string never = $"have never run on hardware, and {NativeSetting} = true asks for them";
            if (!NativeExperts.RunsOn(architecture))
            {
                return _fp8 != Fp8Use.Off && Fp8Experts.Runs(architecture, shape)
                    ? (WidenedScore, $"MXFP8 times MXFP4 on FP8 tensor cores{(_fp8 == Fp8Use.Auto ? " where tokens are many" : "")}, as {Fp8Setting} = {_fp8} asks for")
                    : (WidenedScore, $"{widened}kernels {TunedFor(architecture)}{(_fp8 == Fp8Use.Off ? "" : $"; those that {Fp8Setting} = {_fp8} asks for are of compute capability 9.0, SiLU and up to {Fp8Tile.MaxExperts} experts alone")}");
            }

            return _native
                ? (NativeScore, $"MXFP8 times MXFP4 on the block-scaled matrix instruction; these kernels {never}")
                : (WidenedScore, $"{widened}the kernels for this device's own instruction {never}");
        }

        protected override CudaMethod CreateMethod(Func<KernelLibrary> library, MoeLayerShape shape) => new Sm100Method(library, _native, _forced, _fp8);

        protected override IEnumerable<KernelUnit> Units(CudaArchitecture architecture) =>
        [
            Mxfp8Quantizer.Unit,
            .. WidenedExperts.Units(architecture),
            .. Fp8Experts.Units(architecture),
            .. Mxfp4Experts.Units(architecture, Mxfp4Activations.BFloat16),
            .. NativeExperts.RunsOn(architecture) ? NativeExperts.Units : [],
        ];

        private static Fp8Use ReadFp8(IMoePluginContext context) => context.Settings.GetValueOrDefault(Fp8Setting)?.ToUpperInvariant() switch
        {
            null or "OFF" => Fp8Use.Off,
            "AUTO" => Fp8Use.Auto,
            "ON" => Fp8Use.On,
            _ => throw context.WrongSetting(Fp8Setting, "Off, Auto or On"),
        };

        private static bool ReadNative(IMoePluginContext context) => context.Settings.TryGetValue(NativeSetting, out string? value)
            && (bool.TryParse(value, out bool native) ? native : throw context.WrongSetting(NativeSetting, "true or false"));
    }
}
