namespace Moe.Plugins.Conformance;

/// <summary>What the oracle computed, one row for each token that was asked for.</summary>
public sealed class OracleResult
{
    internal OracleResult(MoeLayerShape shape, int[] tokens, OracleRouting routing, double[] output)
    {
        Shape = shape;
        Tokens = tokens;
        Routing = routing;
        _output = output;
    }

    private readonly double[] _output;

    /// <summary>The layer.</summary>
    public MoeLayerShape Shape { get; }

    /// <summary>Rows of the input that were computed, in the order of the results.</summary>
    public IReadOnlyList<int> Tokens { get; }

    /// <summary>The chosen experts and their weights.</summary>
    public OracleRouting Routing { get; }

    /// <summary>The output of the <paramref name="index"/>-th of <see cref="Tokens"/>: hidden size values.</summary>
    public ReadOnlyMemory<double> Output(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Tokens.Count);
        return _output.AsMemory(index * Shape.HiddenSize, Shape.HiddenSize);
    }
}
