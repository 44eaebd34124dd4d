namespace Moe.Plugins.Cli;

/// <summary>Sums what results are off by, relative to what was expected: the root of the squared differences ÷ that of the squared expectations.</summary>
internal struct RelativeError
{
    private double _difference;
    private double _reference;

    public readonly double Value => Math.Sqrt(_difference / _reference);

    public void Add(double got, double expected)
    {
        double off = got - expected;
        _difference += off * off;
        _reference += expected * expected;
    }
}
