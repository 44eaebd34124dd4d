using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

public sealed class FamilyTests : CudaFamilyTests
{
    private protected override CudaHost Host => Sm100.Host;

    private protected override IReadOnlyList<MoeWeightFormat> Formats => [MoeWeightFormat.Mxfp4];

    private protected override (OracleActivations Activations, double Tolerance)? Rounding => (OracleActivations.Mxfp8, ForwardTests.OwnTolerance);
}
