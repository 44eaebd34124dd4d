using System.Numerics;

namespace Moe.Plugins.Cpu;

/// <summary>
/// The router's dot product, summed in double: two logits that differ by less than a float32 sum's error must still come out in the
/// right order, and the router is a hundredth of the layer's work.
/// </summary>
internal static unsafe class DoubleDot
{
    public static double Compute(float* first, float* second, int count)
    {
        Vector<double> low = Vector<double>.Zero, high = Vector<double>.Zero;
        int i = 0;
        for (; i <= count - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector.Widen(*(Vector<float>*)(first + i), out Vector<double> firstLow, out Vector<double> firstHigh);
            Vector.Widen(*(Vector<float>*)(second + i), out Vector<double> secondLow, out Vector<double> secondHigh);
            low += firstLow * secondLow;
            high += firstHigh * secondHigh;
        }

        double sum = Vector.Sum(low + high);
        for (; i < count; i++)
        {
            sum += (double)first[i] * second[i];
        }

        return sum;
    }
}
