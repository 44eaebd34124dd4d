using Moe.Plugins.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>What is added to the stream, and its norm, on a model of a thread block, against float64.</summary>
public sealed class NormModelTests
{
    private const int Rows = 3;

    [Theory]
    [InlineData(2880, "added")]
    [InlineData(192, "begins")]
    [InlineData(4104, "bias")]
    [InlineData(8192, "added and bias")]
    [InlineData(192, "picked")]
    public void A_row_is_added_to_and_normed(int width, string what)
    {
        var random = new Random(width);
        bool begins = what == "begins", picks = what == "picked";
        float[] before = Pinned.Singles(Rows * width, random, range: 5), weight = Pinned.Singles(width, random), bias = Pinned.Singles(width, random);
        float[] stream = Pinned.Make(before.Length, i => before[i]);
        ushort[] added = Pinned.Brain(10 * width, random), normed = Pinned.Make<ushort>(Rows * width);
        DeviceToken[] tokens = Pinned.Make(Rows, row => new DeviceToken(0, Id: 9 - (4 * row), Position: row));
        int[] rows = Pinned.Make(2, i => 2 - (2 * i));
        int count = picks ? rows.Length : Rows;
        bool adds = what != "bias", addsBias = what.Contains("bias", StringComparison.Ordinal);
        using (var kernel = new BlockModel<ModelKernels.NormParameters>("gpt_oss_norm.cu", "moe_add_norm", "AddNormParameters"))
        {
            var parameters = new ModelKernels.NormParameters
            {
                Stream = Pinned.Address(stream),
                Added = adds ? Pinned.Address(added) : 0,
                Bias = addsBias ? Pinned.Address(bias) : 0,
                Weight = Pinned.Address(weight),
                Normed = Pinned.Address(normed),
                Begins = begins ? Pinned.Address(tokens) : 0,
                Rows = picks ? Pinned.Address(rows) : 0,
                Width = width,
                Epsilon = 1e-5f,
            };
            kernel.Run(parameters, threads: 512, count);
        }

        for (int block = 0; block < count; block++)
        {
            int row = picks ? rows[block] : block;
            double[] sum = [.. Enumerable.Range(0, width).Select(i =>
                (begins ? 0.0 : before[(row * width) + i])
                + (adds ? BFloat16.ToSingle(added[((begins ? tokens[row].Id : row) * width) + i]) : 0)
                + (addsBias ? bias[i] : 0))];
            double factor = 1 / Math.Sqrt((sum.Sum(value => value * value) / width) + 1e-5);
            for (int i = 0; i < width; i++)
            {
                double expected = sum[i] * factor * weight[i];
                Assert.Equal(sum[i], stream[(row * width) + i], 1e-5);
                Assert.Equal(expected, BFloat16.ToSingle(normed[(block * width) + i]), (Math.Abs(expected) / 200) + 1e-5);
            }
        }
    }
}
