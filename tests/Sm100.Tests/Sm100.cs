using Moe.Plugins.Kernels;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

internal static class Sm100
{
    /// <summary>One that runs whatever the device can: the tests are where somebody may see the native kernels run.</summary>
    public static CudaHost Host { get; } = new("Mxfp4.Sm100", ("Native", "true"));

    /// <summary>One whose products run on FP8 tensor cores wherever they can, however few the tokens are.</summary>
    public static CudaHost Fp8 { get; } = new("Mxfp4.Sm100", ("Fp8", "On"));

    public static TheoryData<string> Choices =>
        [CudaHost.Auto, .. Mxfp4Variant.All.Select(variant => variant.ToString()).Where(name => name != "grouped160x192")];  // of BF16 activations alone
}
