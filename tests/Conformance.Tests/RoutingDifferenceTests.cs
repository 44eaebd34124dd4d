namespace Moe.Plugins.Conformance.Tests;

public sealed class RoutingDifferenceTests
{
    [Theory]
    [InlineData(new[] { 1, 2 }, 0, 0, true)]
    [InlineData(new[] { 2, 1 }, 0, 0, true)]
    [InlineData(new[] { 1, 3 }, 1, 1e-5, true)]
    [InlineData(new[] { 1, 0 }, 1, 0.5, false)]
    [InlineData(new[] { 1, 1 }, 1, double.PositiveInfinity, false)]
    [InlineData(new[] { 1, 4 }, 1, double.PositiveInfinity, false)]
    [InlineData(new[] { -1, 1 }, 1, double.PositiveInfinity, false)]
    public void Only_a_tie_excuses_another_choice(int[] chosen, int tokens, double gap, bool isTie)
    {
        using var layer = new OneExpert(MoeActivation.SwiGluOai(), 4, 2);
        Tensors.Write(layer.Tensors.RouterBias, 0, [0f, 2f, 1f, 0.99998f]);
        using var ids = MoeBuffer.OnHost(MoeElementType.Int32, 1, 2);
        Tensors.Write(ids.View, 0, chosen);
        RoutingDifference difference = RoutingDifference.Measure(ids.View, layer.Compute());
        Assert.Equal(tokens, difference.TokenCount);
        Assert.Equal(gap, difference.LargestGap, 1e-6);
        Assert.Equal(isTie, difference.IsTie);
    }
}
