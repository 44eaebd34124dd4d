using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>What all ranks are handed, and room for what they hand back, in host memory.</summary>
internal sealed class LayerTensors : IDisposable
{
    private const double Epsilon = 1e-5;

    public LayerTensors(BenchSource source, int rows, int seed)
    {
        MoeLayerShape shape = source.Shape;
        Input = source.Tokens(rows);
        Residual = RandomInput.Create(rows, shape.HiddenSize, seed + 2);
        NormWeight = RandomInput.Create(1, shape.HiddenSize, seed + 3);
        Sums = MoeBuffer.OnHost(MoeElementType.BFloat16, rows, shape.HiddenSize);
        Output = MoeBuffer.OnHost(MoeElementType.BFloat16, rows, shape.HiddenSize);
        Other = MoeBuffer.OnHost(MoeElementType.BFloat16, rows, shape.HiddenSize);
        Ids = MoeBuffer.OnHost(MoeElementType.Int32, rows, shape.TopK);
    }

    public MoeBuffer Input { get; }

    public MoeBuffer Residual { get; }

    public MoeBuffer NormWeight { get; }

    /// <summary>What the ranks' parts sum up to.</summary>
    public MoeBuffer Sums { get; }

    /// <summary>A rank's result.</summary>
    public MoeBuffer Output { get; }

    /// <summary>Another rank's.</summary>
    public MoeBuffer Other { get; }

    /// <summary>The experts that were chosen.</summary>
    public MoeBuffer Ids { get; }

    /// <summary>How far <see cref="Output"/> is from <see cref="Sums"/> with the residual, normed in float64.</summary>
    public double NormError(int rows)
    {
        var error = default(RelativeError);
        double[] sum = new double[Sums.View.Columns];
        for (int row = 0; row < rows; row++)
        {
            double squares = 0;
            for (int column = 0; column < sum.Length; column++)
            {
                sum[column] = At(Sums, row, column) + At(Residual, row, column);
                squares += sum[column] * sum[column];
            }

            double factor = 1 / Math.Sqrt((squares / sum.Length) + Epsilon);
            for (int column = 0; column < sum.Length; column++)
            {
                error.Add(At(Output, row, column), sum[column] * factor * At(NormWeight, 0, column));
            }
        }

        return error.Value;
    }

    /// <summary>Whether both ranks hold the same bits.</summary>
    public unsafe bool AreEqual(int rows)
    {
        int bytes = checked((int)(rows * Output.View.RowBytes));
        return new ReadOnlySpan<byte>((void*)Output.View.Address, bytes).SequenceEqual(new ReadOnlySpan<byte>((void*)Other.View.Address, bytes));
    }

    public void Dispose() => Array.ForEach([Input, Residual, NormWeight, Sums, Output, Other, Ids], buffer => buffer.Dispose());

    private static double At(MoeBuffer buffer, int row, int column) => BenchNumbers.At(buffer.View, row, column);
}
