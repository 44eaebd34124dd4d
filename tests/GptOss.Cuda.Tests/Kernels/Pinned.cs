using Moe.Plugins.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>Arrays that stay where they are, for kernels that run on the host.</summary>
internal static unsafe class Pinned
{
    public static T[] Make<T>(int count)
        where T : unmanaged => GC.AllocateArray<T>(count, pinned: true);

    public static T[] Make<T>(int count, Func<int, T> value)
        where T : unmanaged
    {
        T[] array = Make<T>(count);
        for (int i = 0; i < count; i++)
        {
            array[i] = value(i);
        }

        return array;
    }

    public static ushort[] Brain(int count, Random random, double range = 1) =>
        Make(count, _ => BFloat16.FromDouble((2 * random.NextDouble() - 1) * range));

    public static float[] Singles(int count, Random random, double range = 1) => Make(count, _ => (float)((2 * random.NextDouble() - 1) * range));

    public static nint Address<T>(T[] array, int first = 0)
        where T : unmanaged
    {
        fixed (T* address = array)
        {
            return (nint)(address + first);
        }
    }

    public static double[] Doubles(ushort[] values) => [.. values.Select(bits => (double)BFloat16.ToSingle(bits))];
}
