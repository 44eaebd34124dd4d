using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss.Tests;

/// <summary>Matrices outside of the experts.</summary>
public sealed unsafe class LinearTests
{
    private const int Inputs = 66, Rows = 3;

    /// <summary>The outputs of a query, a key and a value, none a whole number of panels.</summary>
    private static readonly int[] Outputs = [2100, 40, 70];

    [Fact]
    public void NUMA_nodes_change_no_bit_and_no_place()
    {
        using var one = new CpuTeam(1, time: null, new CpuNodes([0]));
        using var three = new CpuTeam(5, time: null, new CpuNodes([0], [1], [0, 1]));
        float[] expected = Multiply(one);
        Assert.DoesNotContain(float.NaN, expected);
        Assert.Equal(expected, Multiply(three));
    }

    private static float[] Multiply(CpuTeam team)
    {
        MoeBuffer[] weights = [.. Outputs.Select((outputs, part) => Random(outputs, Inputs, part))];
        using var linear = new Linear(team, [.. weights.Select(weight => new LinearTensors { Weight = weight.View })]);
        for (int piece = 0; piece < linear.Pieces; piece++)
        {
            linear.Load(piece);
        }

        using var input = new RowBlocks(Rows, Inputs, blockRows: 2) { Rows = Rows };
        for (int row = 0; row < Rows; row++)
        {
            input.Write(row, 0, [.. Enumerable.Range(0, Inputs).Select(i => (float)Math.Sin((row * Inputs) + i))]);
        }

        float[] output = new float[Rows * linear.Width];
        Array.Fill(output, float.NaN);
        fixed (float* target = output)
        {
            var product = new Product(linear, input, target);
            team.Run(product, phase: 0, linear.UnitsOfNodes);
        }

        Array.ForEach(weights, static weight => weight.Dispose());
        return output;
    }

    private static MoeBuffer Random(int rows, int columns, int seed)
    {
        var random = new Random(seed);
        MoeBuffer buffer = MoeBuffer.OnHost(MoeElementType.BFloat16, rows, columns);
        for (int row = 0; row < rows; row++)
        {
            foreach (ref ushort value in new Span<ushort>((void*)buffer.View.RowAddress(row), columns))
            {
                value = MoeBFloat16.FromSingle((float)random.NextDouble() - 0.5f);
            }
        }

        return buffer;
    }

    private sealed class Product(Linear linear, RowBlocks input, float* output) : ICpuWork
    {
        private readonly PanelKernel _kernel = PanelKernels.For(MoeWeightFormat.BFloat16);

        public void Do(int phase, int unit, int worker) => linear.Multiply(_kernel, unit, input, output);
    }
}
