using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>Multiplies and adds in registers, in chains enough that none waits for its own latency.</summary>
internal static class FmaLoop
{
    private const int Chains = 12;

    private static int Width => Vector512.IsHardwareAccelerated ? Vector512<float>.Count : Vector256<float>.Count;

    /// <summary>The vectors' width, for people.</summary>
    public static string Name => $"{Width * 32}-bit vectors";

    /// <summary>Operations of one round, a fused multiplication and addition counted as two.</summary>
    public static int OperationsARound => 2 * Width * Chains;

    /// <summary>Runs some rounds.</summary>
    /// <returns>What was computed, which a caller must use.</returns>
    public static float Run(int rounds) => Vector512.IsHardwareAccelerated ? Run512(rounds) : Run256(rounds);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Run512(int rounds)
    {
        Vector512<float> m = Vector512.Create(0.5f), n = Vector512.Create(0.25f);
        Vector512<float> a = default, b = default, c = default, d = default, e = default, f = default;
        Vector512<float> g = default, h = default, i = default, j = default, k = default, l = default;
        for (int round = 0; round < rounds; round++)
        {
            a = Vector512.FusedMultiplyAdd(a, m, n);
            b = Vector512.FusedMultiplyAdd(b, m, n);
            c = Vector512.FusedMultiplyAdd(c, m, n);
            d = Vector512.FusedMultiplyAdd(d, m, n);
            e = Vector512.FusedMultiplyAdd(e, m, n);
            f = Vector512.FusedMultiplyAdd(f, m, n);
            g = Vector512.FusedMultiplyAdd(g, m, n);
            h = Vector512.FusedMultiplyAdd(h, m, n);
            i = Vector512.FusedMultiplyAdd(i, m, n);
            j = Vector512.FusedMultiplyAdd(j, m, n);
            k = Vector512.FusedMultiplyAdd(k, m, n);
            l = Vector512.FusedMultiplyAdd(l, m, n);
        }

        return Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Run256(int rounds)
    {
        Vector256<float> m = Vector256.Create(0.5f), n = Vector256.Create(0.25f);
        Vector256<float> a = default, b = default, c = default, d = default, e = default, f = default;
        Vector256<float> g = default, h = default, i = default, j = default, k = default, l = default;
        for (int round = 0; round < rounds; round++)
        {
            a = Vector256.FusedMultiplyAdd(a, m, n);
            b = Vector256.FusedMultiplyAdd(b, m, n);
            c = Vector256.FusedMultiplyAdd(c, m, n);
            d = Vector256.FusedMultiplyAdd(d, m, n);
            e = Vector256.FusedMultiplyAdd(e, m, n);
            f = Vector256.FusedMultiplyAdd(f, m, n);
            g = Vector256.FusedMultiplyAdd(g, m, n);
            h = Vector256.FusedMultiplyAdd(h, m, n);
            i = Vector256.FusedMultiplyAdd(i, m, n);
            j = Vector256.FusedMultiplyAdd(j, m, n);
            k = Vector256.FusedMultiplyAdd(k, m, n);
            l = Vector256.FusedMultiplyAdd(l, m, n);
        }

        return Vector256.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }
}
