namespace Moe.Plugins.Conformance;

/// <summary>How far a result is from its reference.</summary>
/// <param name="RelativeError">
/// ‖result − reference‖ / ‖reference‖ over all values; +∞ where only one of two values is NaN or infinite, or where the reference is 0
/// and the result is not; NaN where no number was left to compare, since all are the same NaN or infinity in both.
/// </param>
/// <param name="MaxAbsError">The largest |result − reference|.</param>
public readonly record struct TensorDifference(double RelativeError, double MaxAbsError)
{
    /// <summary>Values that were compared as numbers, or that are a number in one of the two only.</summary>
    public long ComparedCount { get; init; }

    /// <summary>Values that are NaN, or the same infinity, in both. That they agree says nothing of the others.</summary>
    public long NotFiniteCount { get; init; }

    /// <summary>Compares a result with the oracle's, on the tokens that the oracle computed.</summary>
    /// <param name="result">[tokens, hidden] BF16 or float32 in host memory, all tokens of the batch.</param>
    /// <param name="reference">The oracle's.</param>
    public static TensorDifference Measure(MoeTensorView result, OracleResult reference)
    {
        ArgumentNullException.ThrowIfNull(reference);
        RequireWidth(result, reference.Shape.HiddenSize);
        var sums = new DifferenceSums();
        double[] row = new double[result.Columns];
        for (int i = 0; i < reference.Tokens.Count; i++)
        {
            FloatReader.ReadRow(result, reference.Tokens[i], 0, row);
            sums.Add(row, reference.Output(i).Span);
        }

        return sums.Difference;
    }

    /// <summary>Compares two tensors in host memory, on the rows of the shorter one.</summary>
    /// <param name="result">[rows, columns] BF16 or float32.</param>
    /// <param name="reference">The same columns, BF16 or float32.</param>
    public static TensorDifference Measure(MoeTensorView result, MoeTensorView reference)
    {
        FloatReader.Require(reference, nameof(reference));
        RequireWidth(result, reference.Columns);
        var sums = new DifferenceSums();
        double[] row = new double[result.Columns];
        double[] expected = new double[result.Columns];
        for (int i = 0; i < Math.Min(result.Rows, reference.Rows); i++)
        {
            FloatReader.ReadRow(result, i, 0, row);
            FloatReader.ReadRow(reference, i, 0, expected);
            sums.Add(row, expected);
        }

        return sums.Difference;
    }

    private static void RequireWidth(MoeTensorView result, int columns)
    {
        FloatReader.Require(result, nameof(result));
        if (result.Columns != columns)
        {
            throw new ArgumentException($"The result is {result.Columns} wide; {columns} is expected.", nameof(result));
        }
    }
}
