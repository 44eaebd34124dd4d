namespace Moe.Plugins.Conformance;

/// <summary>The activation between the products, in float64 (<see cref="MoeActivationKind"/> has the formulas).</summary>
internal static class OracleActivation
{
    /// <summary>The activation of one neuron; <paramref name="gate"/> counts for nothing where there are no gates.</summary>
    public static double Apply(MoeActivation activation, double gate, double up) => activation.Kind switch
    {
        MoeActivationKind.Glu => Glu(activation, gate, up),
        MoeActivationKind.ReluSquared => double.IsNaN(up) ? up : Math.Max(up, 0) * Math.Max(up, 0),
        MoeActivationKind.SiTu => SoftBound(gate, activation.GateBeta) * Sigmoid(gate) * SoftBound(up, activation.UpBeta),
        _ => throw new ArgumentException($"Activation {activation.Kind} is not one that the oracle knows."),
    };

    private static double Glu(MoeActivation activation, double gate, double up)
    {
        double limit = activation.Limit;
        double bounded = Math.Clamp(up, -limit, limit) + activation.Beta;
        return activation.ClampsAfter
            ? Math.Min(Inner(activation, gate), limit) * bounded
            : Inner(activation, Math.Min(gate, limit)) * bounded;
    }

    private static double Inner(MoeActivation activation, double gate) => activation.Function switch
    {
        MoeGluFunction.Silu => gate * Sigmoid(activation.Alpha * gate),
        MoeGluFunction.GeluTanh => 0.5 * gate * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (gate + (0.044715 * gate * gate * gate)))),
        _ => throw new ArgumentException($"Function {activation.Function} is not one that the oracle knows."),
    };

    private static double SoftBound(double value, double bound) => double.IsInfinity(bound) ? value : bound * Math.Tanh(value / bound);

    private static double Sigmoid(double value) => 1 / (1 + Math.Exp(-value));
}
