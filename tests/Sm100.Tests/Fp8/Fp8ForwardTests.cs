using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>Whole layers on FP8 tensor cores, for few tokens too, against the oracle that rounds activations to MXFP8.</summary>
public sealed class Fp8ForwardTests : ForwardTests
{
    /// <summary>
    /// Sums of 14 bits send one of some hundred results to the other side of a tie, a step of E4M3 away; see bench/NOTES.md for what was measured.
    /// </summary>
    internal const double Fp8Tolerance = 1e-2;

    public static new TheoryData<string> Choices => [CudaHost.Auto];

    public static new TheoryData<string, int, int, int, int, int> Layers => TestCases.Mxfp4Layers(Choices);

    private protected override CudaHost Host => Sm100.Fp8;

    private protected override double? Tolerance => Fp8Tolerance;
}
