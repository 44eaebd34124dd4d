using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Moe.Plugins.Sm100.Tests;

public sealed class NativeLayoutTests
{
    [Fact]
    public void Every_weight_row_has_a_place_of_its_own_gates_before_their_ups()
    {
        int[] places = [.. Enumerable.Range(0, 2 * 3072).Select(NativeLayout.GateUpPlace)];

        Assert.Equal(Enumerable.Range(0, places.Length), places.Order());
        Assert.All(Enumerable.Range(0, places.Length), row => Assert.Equal(row, NativeLayout.GateUpRow(places[row])));
        Assert.Equal([0, 128, 1, 129], places[..4]);
        Assert.Equal((127, 255, 256, 384), (places[254], places[255], places[256], places[257]));
    }

    [Theory]
    [InlineData(512, 512, 2)]
    [InlineData(384, 256, 1)]
    public void Every_scale_has_a_place_of_its_own(int rows, int depth, int halves)
    {
        var offsets = from row in Enumerable.Range(0, rows)
                      from block in Enumerable.Range(0, depth / 32)
                      select NativeLayout.ScaleOffset(row, block, depth, halves);

        Assert.Equal(Enumerable.Range(0, rows * depth / 32).Select(i => (long)i), offsets.Order());
    }

    [Theory]
    [InlineData(0, 0, 2, 0)]
    [InlineData(128, 0, 2, 512)]
    [InlineData(0, 4, 2, 1024)]
    [InlineData(256, 0, 2, 4096)]
    [InlineData(33, 1, 2, 21)]
    [InlineData(128, 0, 1, 2048)]
    [InlineData(0, 4, 1, 512)]
    public void Scales_of_a_tiles_step_are_neighbours(int place, int block, int halves, long offset) =>
        Assert.Equal(offset, NativeLayout.ScaleOffset(place, block, 512, halves));

    [Fact]
    public void Descriptors_have_the_documented_bits()
    {
        // PTX ISA, "Shared memory descriptor": start 0x12340 / 16, stride 1024 / 16, 0b001, 128-byte swizzle.
        Assert.Equal(0x1234ul | (64ul << 32) | (1ul << 46) | (2ul << 61), TcgenDescriptor.Operand(0x12340));
        Assert.Equal(0x1234ul | (8ul << 32) | (1ul << 46), TcgenDescriptor.Scales(0x12340));

        // "Instruction descriptor", kind mxf8f6f4: scale ids at 4 and 29, types at 7 and 10, N / 8 at 17, UE8M0 at 23, M / 128 at 27.
        Assert.Equal((3u << 4) | (5u << 7) | (0u << 10) | (14u << 17) | (1u << 23) | (1u << 27) | (3u << 29), TcgenDescriptor.Instruction(112, 3));
    }

    [Fact]
    public void Kernel_parameters_lie_as_in_the_kernel()
    {
        // native.cu asserts its size, which five words of padding after the last field fill.
        Assert.Equal(384, Unsafe.SizeOf<NativeProducts.Parameters>());
        Assert.Equal(352, Marshal.OffsetOf<NativeProducts.Parameters>(nameof(NativeProducts.Parameters.Activation)));
    }

    [Fact]
    public void Tiles_fit_and_the_count_of_pairs_chooses_among_them()
    {
        Assert.All(NativeTile.All, tile => Assert.InRange(Math.Max(tile.SharedBytes(1), tile.SharedBytes(2)), 150_000, 232_448));
        Assert.Equal(32, NativeTile.For(4, 32).Tokens);
        Assert.Equal(112, NativeTile.For(4096, 32).Tokens);
    }
}
