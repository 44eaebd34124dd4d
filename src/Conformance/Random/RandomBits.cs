namespace Moe.Plugins.Conformance;

/// <summary>
/// Fills memory with bits that depend on a seed and a position alone (SplitMix64 of a counter: Steele, Lea, Flood, "Fast splittable
/// pseudorandom number generators", OOPSLA 2014), so that threads may share the work and the result is the same on every machine.
/// </summary>
internal static unsafe class RandomBits
{
    private const ulong Gamma = 0x9E3779B97F4A7C15;

    /// <summary>Elements of one piece of work: large against its cost, small against a core's share.</summary>
    private const long Chunk = 1 << 18;

    /// <summary>The <paramref name="position"/>-th number of a seed.</summary>
    public static ulong At(ulong seed, long position)
    {
        ulong z = seed + ((ulong)position * Gamma);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>Random bytes: every MXFP4 code, −0 included.</summary>
    public static void FillBytes(MoeTensorView view, ulong seed)
    {
        byte* start = (byte*)view.Address;
        long count = Count(view);
        ForChunks(count / 8, (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                ((ulong*)start)[i] = At(seed, i);
            }
        });
        for (long i = count & ~7L; i < count; i++)
        {
            start[i] = (byte)At(seed, i);
        }
    }

    /// <summary>Bytes <paramref name="middle"/> − 1, <paramref name="middle"/> and <paramref name="middle"/> + 1, each as often.</summary>
    public static void FillAround(MoeTensorView view, ulong seed, int middle)
    {
        byte* start = (byte*)view.Address;
        ForChunks(Count(view), (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                start[i] = (byte)(middle - 1 + (int)(At(seed, i) % 3));
            }
        });
    }

    /// <summary>E4M3 values of magnitude up to 2, whose root mean square is about 1; every mantissa, subnormals and both zeros.</summary>
    public static void FillE4M3(MoeTensorView view, ulong seed)
    {
        byte* start = (byte*)view.Address;
        ForChunks(Count(view), (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                ulong bits = At(seed, i);
                byte code = (byte)(bits % 16 == 0 ? (bits >> 8) % 0x38 : 0x30 + ((bits >> 8) % 16));
                start[i] = (byte)(code | ((bits >> 32) & 0x80));
            }
        });
    }

    /// <summary>Positive float32 values between half and one and a half times a middle: no powers of two.</summary>
    public static void FillScales(MoeTensorView view, ulong seed, double middle)
    {
        for (int plane = 0; plane < view.Planes; plane++)
        {
            for (int row = 0; row < view.Rows; row++)
            {
                float* values = (float*)view.RowAddress(row, plane);
                for (int i = 0; i < view.Columns; i++)
                {
                    long position = (((long)plane * view.Rows) + row) * view.Columns;
                    values[i] = (float)(middle * (0.5 + ((At(seed, position + i) & 0xFFFF) / 65536.0)));
                }
            }
        }
    }

    /// <summary>Values of a bell curve around 0.</summary>
    /// <param name="view">A dense tensor of BF16, FP16 or float32.</param>
    /// <param name="seed">The seed.</param>
    /// <param name="deviation">Standard deviation.</param>
    /// <param name="outlierEvery">Every so many columns one is larger; 0 for none.</param>
    /// <param name="outlierFactor">By this factor.</param>
    public static void FillBell(MoeTensorView view, ulong seed, double deviation, int outlierEvery = 0, double outlierFactor = 1)
    {
        int columns = view.Columns;
        MoeElementType type = view.ElementType;
        nint start = view.Address;
        ForChunks(Count(view), (first, end) =>
        {
            for (long i = first; i < end; i++)
            {
                bool isOutlier = outlierEvery > 0 && i % columns % outlierEvery == 0;
                float value = (float)(Bell(At(seed, i)) * deviation * (isOutlier ? outlierFactor : 1));
                switch (type)
                {
                    case MoeElementType.Float32:
                        ((float*)start)[i] = value;
                        break;
                    case MoeElementType.Float16:
                        ((Half*)start)[i] = (Half)value;
                        break;
                    default:
                        ((ushort*)start)[i] = MoeBFloat16.FromSingle(value);
                        break;
                }
            }
        });
    }

    /// <summary>Sum of four uniform numbers, centred and scaled to variance 1: close to a Gaussian, and bounded by ±√12.</summary>
    private static double Bell(ulong bits)
    {
        long sum = (long)(bits & 0xFFFF) + (long)((bits >> 16) & 0xFFFF) + (long)((bits >> 32) & 0xFFFF) + (long)(bits >> 48);
        return (sum - (2 * 65535.0)) * (1.7320508075688772 / 65536);
    }

    private static long Count(MoeTensorView view) => (long)view.Planes * view.Rows * view.Columns;

    private static void ForChunks(long count, Action<long, long> fill) =>
        Parallel.For(0, (count + Chunk - 1) / Chunk, chunk => fill(chunk * Chunk, Math.Min(count, (chunk + 1) * Chunk)));
}
