using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>Whole layers on FP8 tensor cores, for few tokens too, against the oracle that rounds activations to MXFP8.</summary>
public sealed class Fp8ForwardTests : ForwardTests
{
    /// <summary>
    /// Sums of 14 bits send one of some hundred results to the other side of a tie, a step of E4M3 away, which counts where the result is one of the
    /// largest: with noise of 2^-13 in the oracle's own sums the worst of 60 small batches is 1.1e-2 off, half of them 2e-3.
    /// </summary>
    internal const double Fp8Tolerance = 2e-2;

    public static new TheoryData<string> Choices => [CudaHost.Auto];

    public static new TheoryData<string, int, int, int, int, int> Layers => TestCases.Mxfp4Layers(Choices);

    private protected override CudaHost Host => Sm100.Fp8;

    private protected override double? Tolerance => Fp8Tolerance;
}
