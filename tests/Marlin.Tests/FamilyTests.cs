using Moe.Plugins.Tests;

namespace Moe.Plugins.Marlin.Tests;

public sealed class FamilyTests : CudaFamilyTests
{
    private protected override CudaHost Host => Marlin.Host;

    private protected override IReadOnlyList<MoeWeightFormat> Formats => [MoeWeightFormat.Mxfp4];
}
