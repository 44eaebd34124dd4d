using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>A random matrix of shared experts: its values, and how kernels read them.</summary>
/// <param name="Values">[rows, inputs].</param>
/// <param name="Stored">BF16 numbers, or E4M3 codes in the order of <c>e4m3.cuh</c>.</param>
/// <param name="Scales">Of codes; null for numbers.</param>
internal sealed record SharedMatrix(double[] Values, byte[] Stored, float[]? Scales)
{
    /// <summary>BF16 numbers of at most half a size.</summary>
    public static SharedMatrix Numbers(int rows, int inputs, double size, Random random)
    {
        ushort[] values = [.. Enumerable.Range(0, rows * inputs).Select(_ => BFloat16.FromDouble(size * (random.NextDouble() - 0.5)))];
        return new([.. values.Select(bits => (double)BFloat16.ToSingle(bits))], [.. values.SelectMany(BitConverter.GetBytes)], null);
    }

    /// <summary>Codes with a scale for 16 rows, even or odd ones, and 32 inputs. Kernels read 8 inputs of one half of 64 beside 8 of the other.</summary>
    public static SharedMatrix Codes(int rows, int inputs, Random random)
    {
        int slices = (inputs + 63) / 64;
        int blocks = slices * 2;
        float[] scales = [.. Enumerable.Range(0, (rows + 15) / 16 * blocks * 2).Select(_ => 0.002f * (0.5f + (float)random.NextDouble()))];
        byte[] stored = new byte[rows * slices * 64];
        double[] values = new double[rows * inputs];
        for (int i = 0; i < values.Length; i++)
        {
            int row = i / inputs;
            int input = i % inputs;
            byte code = (byte)random.Next(256);
            code = (byte)((code & 0x7f) == 0x7f ? code - 1 : code);
            stored[(row * slices * 64) + (input / 64 * 64) + (input % 32 / 8 * 16) + (input % 64 / 32 * 8) + (input % 8)] = code;
            int exponent = (code >> 3) & 15;
            double magnitude = exponent == 0 ? (code & 7) / 512.0 : Math.ScaleB(1 + ((code & 7) / 8.0), exponent - 7);
            values[i] = (code < 128 ? magnitude : -magnitude) * scales[(((row / 16 * blocks) + (input / 32)) * 2) + (row % 2)];
        }

        return new(values, stored, scales);
    }

    /// <summary>A row times as many values.</summary>
    public double Dot(int row, double[] values)
    {
        double sum = 0;
        for (int i = 0; i < values.Length; i++)
        {
            sum += Values[(row * values.Length) + i] * values[i];
        }

        return sum;
    }
}
