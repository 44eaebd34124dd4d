namespace Moe.Plugins.Checkpoints.Tests;

public sealed class Mxfp4RoundingTests
{
    private static readonly double[] Codes = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

    [Theory]
    [InlineData(1f, 125)]
    [InlineData(6f, 127)]
    [InlineData(7.9f, 127)]
    [InlineData(8f, 128)]
    [InlineData(0.0625f, 121)]
    public void The_rule_s_scale_is_the_largest_value_s_exponent_less_two(float largest, int scale)
    {
        float[] row = new float[32];
        row[5] = -largest;
        (_, byte[] scales, _) = Round(row, searches: false);
        Assert.Equal([(byte)scale], scales);
    }

    [Fact]
    public void Each_value_takes_the_nearest_code_and_the_even_one_half_way()
    {
        // The largest is 4 to 7.99, so the scale is 1 and codes are values.
        float[] row = [.. Enumerable.Range(0, 32).Select(i => (i % 2 == 0 ? 1 : -1) * (i / 4f))];
        row[31] = 4;
        (byte[] codes, byte[] scales, _) = Round(row, searches: false);
        Assert.Equal([(byte)127], scales);
        for (int i = 0; i < 32; i++)
        {
            int code = (codes[i / 2] >> (4 * (i % 2))) & 15;
            double magnitude = Math.Abs(row[i]);
            double best = Codes.Min(value => Math.Abs(value - magnitude));
            int[] nearest = [.. Enumerable.Range(0, 8).Where(k => Math.Abs(Codes[k] - magnitude) == best)];
            Assert.Equal(nearest.Length == 1 ? nearest[0] : nearest.Single(k => k % 2 == 0), code & 7);
            Assert.Equal(row[i] < 0 && (code & 7) != 0, (code & 8) != 0);
        }
    }

    [Fact]
    public void The_search_never_loses_more_and_mostly_less()
    {
        var random = new Random(3);
        int better = 0;
        for (int block = 0; block < 200; block++)
        {
            float[] row = [.. Enumerable.Range(0, 32).Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
            (byte[] codes, byte[] scales, MoeRoundingSums found) = Round(row, searches: true);
            MoeRoundingSums ocp = Round(row, searches: false).Sums;
            Assert.True(found.ErrorSquares <= ocp.ErrorSquares);
            better += found.ErrorSquares < ocp.ErrorSquares ? 1 : 0;

            // The sums are of the bytes that were written.
            double error = Enumerable.Range(0, 32).Sum(i =>
            {
                int code = (codes[i / 2] >> (4 * (i % 2))) & 15;
                double value = Codes[code & 7] * (code > 7 ? -1 : 1) * Math.ScaleB(1, scales[0] - 127);
                return (value - row[i]) * (value - row[i]);
            });
            Assert.Equal(error, found.ErrorSquares, 1e-12);
        }

        Assert.InRange(better, 20, 180);
    }

    [Fact]
    public void Zeros_have_a_scale_of_one_and_what_is_no_number_is_refused()
    {
        (byte[] codes, byte[] scales, MoeRoundingSums sums) = Round(new float[32], searches: true);
        Assert.Equal((127, 0.0), (scales[0], sums.RelativeError));
        Assert.All(codes, code => Assert.Equal(0, code));
        float[] row = new float[32];
        row[9] = float.NaN;
        Assert.Throws<NotFiniteNumberException>(() => Round(row, searches: true));
    }

    private static (byte[] Codes, byte[] Scales, MoeRoundingSums Sums) Round(float[] row, bool searches)
    {
        byte[] codes = new byte[row.Length / 2];
        byte[] scales = new byte[row.Length / 32];
        MoeRoundingSums sums = new Mxfp4Rounding(searches).Round(row, codes, scales);
        return (codes, scales, sums);
    }
}
