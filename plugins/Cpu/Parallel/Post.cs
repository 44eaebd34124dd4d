namespace Moe.Plugins.Cpu;

/// <summary>What a rank brings to an exchange, and how the others see that it is the same exchange.</summary>
/// <param name="Kind">What is done.</param>
/// <param name="View">What the other ranks read.</param>
/// <param name="HasResidual">Whether a residual is added.</param>
/// <param name="Epsilon">The norm's; 0 where there is none.</param>
internal readonly record struct Post(ExchangeKind Kind, MoeTensorView View, bool HasResidual = false, float Epsilon = 0)
{
    /// <summary>Whether both can be one exchange: each rank has memory and strides of its own, and the rest is the same.</summary>
    public bool Fits(in Post other) => (Kind, HasResidual, View.Rows, View.Columns, View.ElementType)
        == (other.Kind, other.HasResidual, other.View.Rows, other.View.Columns, other.View.ElementType) && Epsilon.Equals(other.Epsilon);

    /// <summary>For people.</summary>
    public override string ToString()
    {
        string options = Kind == ExchangeKind.ReduceAddNorm ? $" {(HasResidual ? "with" : "without")} a residual, epsilon {Epsilon:g6}" : "";
        return $"{Kind} of [{View.Rows}, {View.Columns}] {View.ElementType}{options}";
    }
}
