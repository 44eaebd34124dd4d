namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>Drawing a token on a model of a thread block, against the weights in float64.</summary>
public sealed class DrawModelTests
{
    private const double Tolerance = 1e-6;

    /// <summary>Few tokens and many, all of them likely and few, some of them banned; the ends of the draw, and beyond.</summary>
    [Theory]
    [InlineData(40, 1.0, 0.0)]
    [InlineData(5000, 1.0, 0.0)]
    [InlineData(5000, 0.5, 0.05)]
    [InlineData(70001, 2.0, 0.0)]
    public void A_token_is_drawn_where_the_number_lies(int vocabulary, double temperature, double minP)
    {
        double[] units = [0, 1e-4, 0.25, 0.5, 0.77, 0.9999, 0.99999999999999];
        var random = new Random(vocabulary);
        float[] logits = Pinned.Singles(vocabulary * units.Length, random, range: 8);
        uint[] banned = Pinned.Make<uint>((vocabulary + 31) / 32);
        double least = Math.Max(minP, 1e-13);
        DeviceDraw[] draws = Pinned.Make(units.Length, i => new DeviceDraw(units[i], (float)temperature, (float)least));
        long[] candidates = Pinned.Make<long>(units.Length);
        DeviceCandidate[] found = Pinned.Make<DeviceCandidate>(units.Length);

        // The first and the last token, and the likeliest of the first row.
        foreach (int id in (int[])[0, vocabulary - 1, Array.IndexOf(logits, logits[..vocabulary].Max())])
        {
            banned[id / 32] |= 1u << (id % 32);
        }

        bool IsBanned(int id) => ((banned[id / 32] >> (id % 32)) & 1) != 0;
        for (int row = 0; row < units.Length; row++)
        {
            int best = Enumerable.Range(0, vocabulary).Where(id => !IsBanned(id)).MaxBy(id => logits[(row * vocabulary) + id]);
            candidates[row] = ((long)best << 32) | BitConverter.SingleToUInt32Bits(logits[(row * vocabulary) + best]);
        }

        using (var kernel = new BlockModel<ModelKernels.ChooseParameters>("gpt_oss_choose.cu", "moe_choose", "ChooseParameters"))
        {
            var parameters = new ModelKernels.ChooseParameters
            {
                Candidates = Pinned.Address(candidates),
                Logits = Pinned.Address(logits),
                Banned = Pinned.Address(banned),
                Draws = Pinned.Address(draws),
                Chosen = Pinned.Address(found),
                Count = 1,
                Vocabulary = vocabulary,
            };
            kernel.Run(parameters, threads: 1024, units.Length);
        }

        int[] chosen = [.. found.Select(candidate => candidate.Id)];
        for (int row = 0; row < units.Length; row++)
        {
            float highest = BitConverter.UInt32BitsToSingle((uint)candidates[row]);
            double[] weights = [.. Enumerable.Range(0, vocabulary).Select(id => IsBanned(id) ? 0 : Math.Exp((logits[(row * vocabulary) + id] - (double)highest) / temperature))];
            double all = weights.Where(weight => weight >= least).Sum(), before = weights.Take(chosen[row]).Where(weight => weight >= least).Sum();
            double own = weights[chosen[row]];
            Assert.True(own >= least * (1 - Tolerance), $"{units[row]}: {chosen[row]} has weight {own}");
            Assert.InRange(units[row], (before / all) - Tolerance, ((before + own) / all) + Tolerance);
        }
    }
}
