namespace Moe.Plugins.Cpu;

/// <summary>The two ways to write activations as digits.</summary>
internal static class Digits
{
    /// <summary>For results in float32: what is lost is below 2^-21 of a block's largest magnitude.</summary>
    internal readonly struct Fine : IDigits
    {
        static int IDigits.Count => 3;

        static int IDigits.DigitBits => 7;

        static int IDigits.ValueBits => 20;
    }

    /// <summary>For results that are rounded to BF16 in the end: a third less work, and below 2^-15.</summary>
    internal readonly struct Coarse : IDigits
    {
        static int IDigits.Count => 2;

        static int IDigits.DigitBits => 8;

        static int IDigits.ValueBits => 14;
    }
}
