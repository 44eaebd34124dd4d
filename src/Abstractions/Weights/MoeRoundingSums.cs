namespace Moe.Plugins;

/// <summary>What rounding weights cost, summed: of several matrices, the sums add up.</summary>
/// <param name="ErrorSquares">Σ (stored − kept)².</param>
/// <param name="Squares">Σ stored².</param>
public readonly record struct MoeRoundingSums(double ErrorSquares, double Squares)
{
    /// <summary>‖stored − kept‖ ÷ ‖stored‖; 0 where nothing was rounded.</summary>
    public double RelativeError => ErrorSquares == 0 ? 0 : Math.Sqrt(ErrorSquares / Squares);

    /// <summary>The sums of both.</summary>
    public static MoeRoundingSums operator +(MoeRoundingSums left, MoeRoundingSums right) => Add(left, right);

    /// <summary>The sums of both.</summary>
    public static MoeRoundingSums Add(MoeRoundingSums left, MoeRoundingSums right) =>
        new(left.ErrorSquares + right.ErrorSquares, left.Squares + right.Squares);
}
