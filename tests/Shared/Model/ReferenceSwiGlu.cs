namespace Moe.Plugins.Tests;

/// <summary>GPT-OSS's activation in float64, with the constants that the model's tests give the kernels.</summary>
internal static class ReferenceSwiGlu
{
    private const float Alpha = 1.702f;
    private const float Limit = 7;

    public static double Of(double gate, double up)
    {
        gate = Math.Min(gate, Limit);
        return (Math.Clamp(up, -Limit, Limit) + 1) * gate / (1 + Math.Exp(-Alpha * gate));
    }
}
