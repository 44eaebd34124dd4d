namespace Moe.Plugins.Conformance;

/// <summary>The activation between the products, in float64 (<see cref="MoeActivationKind"/> has the formulas).</summary>
internal static class OracleActivation
{
    public static double Apply(MoeActivation activation, double gate, double up)
    {
        if (activation.Kind == MoeActivationKind.SiluGated)
        {
            return up * gate * Sigmoid(gate);
        }

        double limit = activation.Limit;
        double clampedGate = Math.Min(gate, limit);
        double clampedUp = Math.Clamp(up, -limit, limit);
        return (clampedUp + 1) * clampedGate * Sigmoid(activation.Alpha * clampedGate);
    }

    private static double Sigmoid(double value) => 1 / (1 + Math.Exp(-value));
}
