using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>
/// How each product rounds its results to MXFP8 on their way out of the registers: the kernels' own code, on threads of the host, against the
/// rule by search. The activation is gate · up, or GPT-OSS's as the host computes it, so that what is rounded is known to the bit.
/// </summary>
public sealed unsafe class RoundingTests
{
    private const ushort Untouched = 0xFFFF;

    private const string Grouped =
        """
        #include "epilogue/round_mxfp8.cuh"
        #include "epilogue/store_tile.cuh"
        constexpr int kOutBytes = 4096;
        template <int kColumns>
        void store(const float* sums, const float* bias, const float* factor, u16* out, int row0, int count, int intermediate)
        {
            run_block(128, [&] {
                float d[kColumns / 2];
                std::memcpy(d, sums + threadIdx.x * (kColumns / 2), sizeof(d));
                const Tile tile = {0, row0, 1, count};
                store_act<kColumns, kOutBytes>(Activation{1.702f, 7, 1}, tile, d, shared_memory, 0, act_bias(tile, 0, bias, intermediate), factor, intermediate, out, intermediate,
                                               RoundMxfp8::of<1, kOutBytes / 64>(0));
            });
        }
        extern "C" float act_of(float gate, float up) { return Activation{1.702f, 7, 1}(gate, up); }
        extern "C" void store_columns(int columns, const float* sums, const float* bias, const float* factor, u16* out, int row0, int count, int intermediate)
        {
            (columns == 8 ? store<8> : columns == 40 ? store<40> : columns == 64 ? store<64> : columns == 72 ? store<72> : store<256>)
                (sums, bias, factor, out, row0, count, intermediate);
        }
        """;

    private const string Mma =
        """
        #include "mxfp4_mma_mxfp8.cu"
        extern "C" void store_tile(const float* sums, u16* out, i64 stride, int tokens)
        {
            run_block(256, [&] {
                float own[kColumns][4];
                std::memcpy(own, sums + threadIdx.x * kColumns * 4, sizeof(own));
                StoreMxfp8::store(own, [](float gate, float up) { return gate * up; }, out + threadIdx.x / 32 * 8 + threadIdx.x % 32 / 4, stride, tokens);
            });
        }
        """;

    [Theory]
    [InlineData(8, 5)]
    [InlineData(40, 37)]
    [InlineData(64, 64)]
    [InlineData(72, 70)]
    [InlineData(256, 251)]
    public void A_tile_of_the_grouped_product(int columns, int tokens)
    {
        const int Intermediate = 96;
        const int Row0 = 64;
        using HostLibrary library = HostLibrary.CompileBlock("mxfp4_grouped_mxfp8.cu", Grouped);
        var act = (delegate* unmanaged<float, float, float>)library.Export("act_of");
        var store = (delegate* unmanaged<int, float*, float*, float*, ushort*, int, int, int, void>)library.Export("store_columns");
        float[] sums = Values(columns, 128 * (columns / 2));
        float[] bias = Values(3, 2 * Intermediate);
        float[] factor = [.. Enumerable.Range(0, 2 * Intermediate).Select(row => row % 5 == 0 ? 4f : 1f)];

        // A row more on either side: the tile begins at the second.
        ushort[] output = Output(tokens + 2, Intermediate);
        fixed (float* d = sums, b = bias, f = factor)
        {
            fixed (ushort* o = output)
            {
                store(columns, d, b, f, o, Row0, tokens, Intermediate);
            }
        }

        for (int token = -1; token <= tokens; token++)
        {
            float[] values = new float[32];
            for (int neuron = 0; neuron < 32 && token >= 0 && token < tokens; neuron++)
            {
                int at = (((neuron * 4) + (token % 8 / 2)) * (columns / 2)) + (token / 8 * 4) + (token % 2);
                int row = Row0 + (2 * neuron);
                values[neuron] = act((sums[at] * factor[row]) + bias[row], (sums[at + 2] * factor[row + 1]) + bias[row + 1]);
            }

            ReadOnlySpan<ushort> all = output.AsSpan((token + 1) * Intermediate, Intermediate);
            Assert.Equal(-1, all[..(Row0 / 2)].IndexOfAnyExcept(Untouched));
            Assert.Equal(-1, all[((Row0 / 2) + 32)..].IndexOfAnyExcept(Untouched));
            AssertRounded(all.Slice(Row0 / 2, 32), values, isStored: token >= 0 && token < tokens);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(33)]
    [InlineData(64)]
    public void A_tile_of_the_warps_product(int tokens)
    {
        const int Stride = 64;
        using HostLibrary library = HostLibrary.CompileBlock("mxfp4_mma_mxfp8.cu", Mma);
        var store = (delegate* unmanaged<float*, ushort*, long, int, void>)library.Export("store_tile");
        float[] sums = Values(tokens, 256 * 8 * 4);
        ushort[] output = Output(66, Stride);
        fixed (float* d = sums)
        {
            fixed (ushort* o = output)
            {
                store(d, o, Stride, tokens);
            }
        }

        for (int token = 0; token < 66; token++)
        {
            for (int first = 0; first < Stride; first += 32)
            {
                float[] values = new float[32];
                for (int neuron = 0; neuron < 32 && token < tokens; neuron++)
                {
                    int at = (((((first + neuron) * 4) + (token % 8 / 2)) * 8) + (token / 8)) * 4;
                    values[neuron] = sums[at + (token % 2)] * sums[at + 2 + (token % 2)];
                }

                AssertRounded(output.AsSpan((token * Stride) + first, 32), values, isStored: token < tokens);
            }
        }
    }

    private static ushort[] Output(int rows, int columns)
    {
        ushort[] output = new ushort[rows * columns];
        Array.Fill(output, Untouched);
        return output;
    }

    /// <summary>Values of many magnitudes, zeros and a bound between two scales among them.</summary>
    private static float[] Values(int seed, int count)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(i => i % 61 == 0 ? 0
            : i % 67 == 0 ? 1.75f
            : (float)Math.ScaleB(random.NextDouble() - 0.5, random.Next(-6, 6)))];
    }

    private static void AssertRounded(ReadOnlySpan<ushort> actual, float[] values, bool isStored)
    {
        double[] expected = Mxfp8.Round([.. values.Select(value => (double)value)]);
        for (int i = 0; i < 32; i++)
        {
            if (isStored)
            {
                Assert.Equal(expected[i], BFloat16.ToSingle(actual[i]));
            }
            else
            {
                Assert.Equal(Untouched, actual[i]);
            }
        }
    }
}
