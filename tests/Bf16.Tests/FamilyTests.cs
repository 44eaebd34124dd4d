using Moe.Plugins.Tests;

namespace Moe.Plugins.Bf16.Tests;

public sealed class FamilyTests : CudaFamilyTests
{
    private protected override CudaHost Host => Bf16.Host;

    private protected override IReadOnlyList<MoeWeightFormat> Formats => Enum.GetValues<MoeWeightFormat>();
}
