namespace Moe.Plugins.GptOss.Tests;

/// <summary>How tokens are chosen.</summary>
public sealed class SamplerTests
{
    private const int Draws = 20000;

    private static readonly float[] Logits = [MathF.Log(0.5f), MathF.Log(0.3f), float.NegativeInfinity, MathF.Log(0.15f), MathF.Log(0.05f)];

    [Fact]
    public void Greedy_takes_the_likeliest() => Assert.Equal(0, new Sampler(GptOssSampling.Greedy).Next(Logits));

    [Fact]
    public void Probabilities_are_those_of_the_logits()
    {
        double[] shares = Shares(new GptOssSampling { Seed = 1 });
        Assert.Equal([0.5, 0.3, 0, 0.15, 0.05], shares.Select(share => share), (expected, found) => Math.Abs(expected - found) < 0.02);
    }

    [Fact]
    public void Temperature_sharpens()
    {
        double[] shares = Shares(new GptOssSampling { Seed = 1, Temperature = 0.5 });
        Assert.Equal(0.25 / 0.365, shares[0], 0.02);
    }

    [Fact]
    public void Top_p_cuts_the_unlikely()
    {
        double[] shares = Shares(new GptOssSampling { Seed = 1, TopP = 0.75 });
        Assert.Equal(0.5 / 0.8, shares[0], 0.02);
        Assert.Equal([0, 0, 0], shares[2..]);
    }

    /// <summary>Few tokens of many, and nearly all of them: those that a sort of all puts first, and in its order.</summary>
    [Theory]
    [InlineData(0.1, 0.9)]
    [InlineData(1, 0.9)]
    [InlineData(1, 0.999999)]
    [InlineData(100, 0.5)]
    public void A_nucleus_is_what_a_sort_of_all_puts_first(double temperature, double topP)
    {
        var random = new Random(3);
        float[] logits = [.. Enumerable.Range(0, 5000).Select(id => id % 7 == 0 ? 1f : (float)(20 * random.NextDouble()))];
        float highest = logits.Max();
        double[] weights = [.. logits.Select(logit => Math.Exp((logit - (double)highest) / temperature))];
        int[] order = [.. Enumerable.Range(0, logits.Length).OrderByDescending(id => weights[id]).ThenBy(id => id)];
        double enough = topP * weights.Sum(), sum = 0;
        int count = 0;
        while (count < order.Length && sum < enough)
        {
            sum += weights[order[count++]];
        }

        Sampler sampler = new(new GptOssSampling { Temperature = temperature, TopP = topP, Seed = 4 }), numbers = new(new GptOssSampling { Seed = 4 });
        for (int i = 0; i < 500; i++)
        {
            double left = numbers.NextUnit() * sum;
            int place = 0;
            while (place < count - 1 && (left -= weights[order[place]]) >= 0)
            {
                place++;
            }

            Assert.Equal(order[place], sampler.Next(logits));
        }
    }

    [Fact]
    public void Min_p_cuts_what_is_far_from_the_likeliest()
    {
        double[] shares = Shares(new GptOssSampling { Seed = 1, MinP = 0.25 });
        Assert.True(shares[3] > 0);
        Assert.Equal(0, shares[4]);
    }

    [Fact]
    public void A_seed_repeats()
    {
        Assert.Equal(Sequence(7), Sequence(7));
        Assert.NotEqual(Sequence(7), Sequence(8));

        static int[] Sequence(long seed)
        {
            var sampler = new Sampler(new GptOssSampling { Seed = seed });
            return [.. Enumerable.Range(0, 50).Select(_ => sampler.Next(Logits))];
        }
    }

    [Fact]
    public void Logits_that_are_no_numbers_are_a_fault() =>
        Assert.Throws<MoeException>(() => new Sampler(GptOssSampling.Greedy).Next([1, float.NaN, 2]));

    /// <summary>Of infinity no share can be drawn, nor of nothing.</summary>
    [Theory]
    [InlineData(float.PositiveInfinity, 1)]
    [InlineData(float.PositiveInfinity, 0.9)]
    [InlineData(float.NegativeInfinity, 1)]
    [InlineData(float.NegativeInfinity, 0.9)]
    public void Draws_from_infinite_logits_are_a_fault(float logit, double topP) =>
        Assert.Throws<MoeException>(() => new Sampler(new GptOssSampling { Temperature = 1, TopP = topP, Seed = 1 }).Next([logit, float.NegativeInfinity]));

    [Theory]
    [InlineData(-0.1, 1, 0)]
    [InlineData(1, 0, 0)]
    [InlineData(1, 1.1, 0)]
    [InlineData(1, 1, 1)]
    [InlineData(double.NaN, 1, 0)]
    public void Values_out_of_range_are_refused(double temperature, double topP, double minP) => Assert.Equal(
        MoeReason.Configuration,
        Assert.Throws<MoeException>(() => new Sampler(new GptOssSampling { Temperature = temperature, TopP = topP, MinP = minP })).Reason);

    private static double[] Shares(GptOssSampling options)
    {
        var sampler = new Sampler(options);
        double[] shares = new double[Logits.Length];
        for (int i = 0; i < Draws; i++)
        {
            shares[sampler.Next(Logits)] += 1.0 / Draws;
        }

        return shares;
    }
}
