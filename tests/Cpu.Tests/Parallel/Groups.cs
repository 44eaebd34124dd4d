using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>Groups of the Cpu backend, and numbers for them.</summary>
internal static class Groups
{
    public const int MaxTokens = 9;
    public const int Width = 72;

    public static IMoeParallelBackend Backend => Assert.IsType<IMoeParallelBackend>(CpuHost.Shared.FindBackend("Cpu"), exactMatch: false);

    public static MoeGroupRequest Request(int ranks, MoeElementType type = MoeElementType.Float32) => new()
    {
        Devices = [.. Enumerable.Repeat(MoeDevice.Cpu, ranks)],
        MaxTokens = MaxTokens,
        Width = Width,
        ElementType = type,
    };

    public static IMoeGroup Create(int ranks, MoeElementType type = MoeElementType.Float32) => Backend.CreateGroup(Request(ranks, type));

    /// <summary>The same numbers for the same rank and seed: what it brings.</summary>
    public static MoeBuffer Numbers(int rows, MoeElementType type, int seed, int columns = Width)
    {
        MoeBuffer buffer = MoeBuffer.OnHost(type, rows, columns);
        var random = new Random(seed);
        buffer.CopyFrom((ReadOnlySpan<float>)[.. Enumerable.Range(0, rows * columns).Select(_ => (float)(random.NextDouble() - 0.5) * MathF.Pow(2, random.Next(-6, 6)))]);
        return buffer;
    }

    /// <summary>A part of a sum with a rank's numbers in it.</summary>
    public static MoePartial Part(IMoeCommunicator member, int rows, int seed = 0)
    {
        MoePartial partial = member.LendPartial(rows);
        if (rows != 0)
        {
            using MoeBuffer numbers = Numbers(rows, member.Request.ElementType, seed + member.Rank);
            for (int row = 0; row < rows; row++)
            {
                Tensors.Row<byte>(numbers.View, row).CopyTo(Tensors.Row<byte>(partial.View, row));
            }
        }

        return partial;
    }

    /// <summary>The sum over all ranks in float64: rows × width.</summary>
    public static double[] Sum(int ranks, int rows, MoeElementType type, int seed = 0)
    {
        double[] sum = new double[rows * Width];
        for (int rank = 0; rank < ranks; rank++)
        {
            using MoeBuffer numbers = Numbers(rows, type, seed + rank);
            float[] values = numbers.ToSingles();
            for (int i = 0; i < sum.Length; i++)
            {
                sum[i] += values[i];
            }
        }

        return sum;
    }

    public static double Error(MoeElementType type) => type == MoeElementType.Float32 ? 1e-5 : 5e-3;

    /// <summary>The values of a tensor, one row after another.</summary>
    public static double[] Values(MoeTensorView view) => [.. Enumerable.Range(0, view.Rows).SelectMany(row => Tensors.Floats(view, row)).Select(value => (double)value)];

    public static void Near(double[] expected, double[] found, double error)
    {
        Assert.Equal(expected.Length, found.Length);
        double largest = expected.Length == 0 ? 0 : expected.Max(Math.Abs);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], found[i], error * largest);
        }
    }
}
