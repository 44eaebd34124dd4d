namespace Moe.Plugins.Conformance;

/// <summary>Collects what a <see cref="TensorDifference"/> is made of.</summary>
internal sealed class DifferenceSums
{
    private double _differenceSquares;
    private double _referenceSquares;
    private double _max;
    private long _compared;
    private long _notFinite;

    public TensorDifference Difference
    {
        get
        {
            double relative = _differenceSquares == 0 ? 0 : Math.Sqrt(_differenceSquares / _referenceSquares);
            relative = double.IsNaN(relative) ? double.PositiveInfinity : relative;

            // Where all is NaN, nothing speaks for the result.
            bool isCompared = _compared > 0 || _notFinite == 0;
            return new TensorDifference(isCompared ? relative : double.NaN, _max) { ComparedCount = _compared, NotFiniteCount = _notFinite };
        }
    }

    public void Add(ReadOnlySpan<double> result, ReadOnlySpan<double> reference)
    {
        for (int i = 0; i < reference.Length; i++)
        {
            bool isSame = result[i].Equals(reference[i]);
            if (isSame && !double.IsFinite(reference[i]))
            {
                _notFinite++;
                continue;
            }

            _compared++;
            double difference = isSame ? 0 : Math.Abs(result[i] - reference[i]);

            // A NaN on one side only must not vanish in a comparison.
            difference = double.IsNaN(difference) ? double.PositiveInfinity : difference;
            _max = Math.Max(_max, difference);
            _differenceSquares += difference * difference;
            _referenceSquares += double.IsFinite(reference[i]) ? reference[i] * reference[i] : 0;
        }
    }
}
