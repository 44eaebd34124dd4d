namespace Moe.Plugins.Cpu.Tests;

/// <summary>Largest relative errors against the float64 oracle.</summary>
internal static class Tolerance
{
    /// <summary>Sums of a few thousand products in float32.</summary>
    public const double Float32 = 2e-5;

    /// <summary>The above, rounded to BF16: half a unit in the last place, 2^-8 of a value at most, which a few values alone may all come near.</summary>
    public const double BFloat16 = 4e-3;

    public static double Of(MoeElementType output) => output == MoeElementType.Float32 ? Float32 : BFloat16;
}
