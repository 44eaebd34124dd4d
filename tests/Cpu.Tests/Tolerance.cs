namespace Moe.Plugins.Cpu.Tests;

/// <summary>Largest relative errors against the float64 oracle.</summary>
internal static class Tolerance
{
    /// <summary>Sums of a few thousand products in float32.</summary>
    public const double Float32 = 2e-5;

    /// <summary>The above, rounded to BF16: a relative half unit in the last place of 2^-9 at most, 0.6 of it in the mean square.</summary>
    public const double BFloat16 = 2.5e-3;

    public static double Of(MoeElementType output) => output == MoeElementType.Float32 ? Float32 : BFloat16;
}
