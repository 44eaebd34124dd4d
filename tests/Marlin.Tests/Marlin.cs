using Moe.Plugins.Kernels;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Marlin.Tests;

internal static class Marlin
{
    public static CudaHost Host { get; } = new("Mxfp4.Marlin");

    public static TheoryData<string> Choices => [CudaHost.Auto, .. Mxfp4Variant.All.Select(variant => variant.ToString())];
}
