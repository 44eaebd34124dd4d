using Moe.Plugins.Tests;

namespace Moe.Plugins.Marlin.Tests;

/// <summary>The same with experts of any size in the launch that has shared ones, too, where it takes them at all.</summary>
public sealed class StreamFamilyTests : CudaFamilyTests
{
    private static readonly CudaHost Streaming = new("Mxfp4.Marlin", ("Kernels", "stream8x64"));

    private protected override CudaHost Host => Streaming;

    private protected override IReadOnlyList<MoeWeightFormat> Formats => [MoeWeightFormat.Mxfp4];
}
