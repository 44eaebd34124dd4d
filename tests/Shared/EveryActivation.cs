namespace Moe.Plugins.Tests;

/// <summary>An activation of each kind, with and without each constant, for random layers.</summary>
internal static class EveryActivation
{
    public static MoeActivation[] Values { get; } =
    [
        MoeActivation.SiluGated,
        MoeActivation.GeluTanhGated,
        MoeActivation.ReluSquared,
        MoeActivation.SwiGluOai(),
        MoeActivation.SiTu(4, 25),
        MoeActivation.SiTu(0.5f),
        MoeActivation.Glu(MoeGluFunction.Silu, limit: 1),
        MoeActivation.Glu(MoeGluFunction.Silu, limit: 0.4f, clampsAfter: true),
        MoeActivation.Glu(MoeGluFunction.GeluTanh, beta: 0.5f, limit: 0.7f, clampsAfter: true),
    ];
}
