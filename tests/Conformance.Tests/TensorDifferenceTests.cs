namespace Moe.Plugins.Conformance.Tests;

public sealed class TensorDifferenceTests
{
    [Theory]
    [InlineData(new[] { 3f, 4f }, new[] { 3f, 4f }, 0, 0)]
    [InlineData(new[] { 3f, 4.5f }, new[] { 3f, 4f }, 0.1, 0.5)]
    [InlineData(new[] { 0f, 0f }, new[] { 0f, 0f }, 0, 0)]
    [InlineData(new[] { 0f, 1f }, new[] { 0f, 0f }, double.PositiveInfinity, 1)]
    [InlineData(new[] { float.NaN, 4f }, new[] { 3f, 4f }, double.PositiveInfinity, double.PositiveInfinity)]
    [InlineData(new[] { 3f, 4f }, new[] { float.NaN, 4f }, double.PositiveInfinity, double.PositiveInfinity)]
    [InlineData(new[] { float.NaN, 4f }, new[] { float.NaN, 4f }, 0, 0)]
    [InlineData(new[] { float.PositiveInfinity, 4f }, new[] { 3f, 4f }, double.PositiveInfinity, double.PositiveInfinity)]
    [InlineData(new[] { float.PositiveInfinity, 4f }, new[] { float.NegativeInfinity, 4f }, double.PositiveInfinity, double.PositiveInfinity)]
    public void The_relative_error_is_a_ratio_of_norms(float[] result, float[] reference, double relative, double max)
    {
        using MoeBuffer a = Row(result);
        using MoeBuffer b = Row(reference);
        TensorDifference difference = TensorDifference.Measure(a.View, b.View);
        Assert.Equal(relative, difference.RelativeError, 1e-7);
        Assert.Equal(max, difference.MaxAbsError, 1e-7);
    }

    [Theory]
    [InlineData(new[] { float.NaN, float.NaN }, 0, 2)]
    [InlineData(new[] { float.NaN, float.NegativeInfinity }, 0, 2)]
    [InlineData(new[] { float.NaN, 4f }, 1, 1)]
    [InlineData(new float[0], 0, 0)]
    public void Agreement_of_NaN_is_counted_apart(float[] values, long compared, long notFinite)
    {
        using MoeBuffer a = Row(values);
        using MoeBuffer b = Row(values);
        TensorDifference difference = TensorDifference.Measure(a.View, b.View);
        Assert.Equal((compared, notFinite), (difference.ComparedCount, difference.NotFiniteCount));
        Assert.Equal(compared == 0 && notFinite > 0, double.IsNaN(difference.RelativeError));
    }

    [Fact]
    public void Another_width_is_refused()
    {
        using MoeBuffer a = Row([1, 2]);
        using MoeBuffer b = Row([1]);
        Assert.Throws<ArgumentException>(() => TensorDifference.Measure(a.View, b.View));
    }

    private static MoeBuffer Row(float[] values)
    {
        var tensor = MoeBuffer.OnHost(MoeElementType.Float32, 1, values.Length);
        Tensors.Write(tensor.View, 0, values);
        return tensor;
    }
}
