using System.Numerics;
using System.Runtime.InteropServices;

namespace Moe.Plugins.Conformance;

/// <summary>Scalar products in float64.</summary>
internal static class DoubleDot
{
    public static double Of(ReadOnlySpan<double> left, ReadOnlySpan<double> right)
    {
        ReadOnlySpan<Vector<double>> a = MemoryMarshal.Cast<double, Vector<double>>(left);
        ReadOnlySpan<Vector<double>> b = MemoryMarshal.Cast<double, Vector<double>>(right)[..a.Length];

        // Four sums, so that one addition need not wait for the last.
        Vector<double> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        int i = 0;
        for (; i + 4 <= a.Length; i += 4)
        {
            sum0 += a[i] * b[i];
            sum1 += a[i + 1] * b[i + 1];
            sum2 += a[i + 2] * b[i + 2];
            sum3 += a[i + 3] * b[i + 3];
        }

        for (; i < a.Length; i++)
        {
            sum0 += a[i] * b[i];
        }

        double total = Vector.Sum((sum0 + sum1) + (sum2 + sum3));
        for (int j = a.Length * Vector<double>.Count; j < left.Length; j++)
        {
            total += left[j] * right[j];
        }

        return total;
    }
}
