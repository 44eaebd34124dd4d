namespace Moe.Plugins.Sm100.Tests;

/// <summary>The device's index arithmetic, compiled for the host, against its twins in C#.</summary>
public sealed unsafe class HostLayoutTests
{
    [Fact]
    public void Places_and_rows_are_the_twins()
    {
        using var device = new HostLayout();
        for (int i = 0; i < 4096; i++)
        {
            Assert.Equal(NativeLayout.GateUpPlace(i), device.GateUpPlace(i));
            Assert.Equal(NativeLayout.GateUpRow(i), device.GateUpRow(i));
        }
    }

    [Fact]
    public void Bytes_of_an_operands_tile_are_the_twins()
    {
        using var device = new HostLayout();
        for (int row = 0; row < 256; row++)
        {
            for (int rowByte = 0; rowByte < 128; rowByte++)
            {
                Assert.Equal(NativeLayout.SwizzledByte(row, rowByte), device.SwizzledByte(row, rowByte));
            }
        }
    }

    [Fact]
    public void A_word_of_scales_belongs_to_the_row_that_the_layout_says()
    {
        using var device = new HostLayout();
        for (int word = 0; word < 128; word++)
        {
            int row = device.ScaleTileRow(word);
            Assert.Equal(word * 4, Mxfp8Layout.ScaleOffset(row, 0, NativeLayout.StepDepth, Mxfp8ScaleOrder.Swizzled128x4));
        }
    }

    [Fact]
    public void Descriptors_are_the_twins()
    {
        using var device = new HostLayout();
        for (uint address = 0; address < 232448; address += 16)
        {
            Assert.Equal(TcgenDescriptor.Operand(address), device.Operand(address));
            Assert.Equal(TcgenDescriptor.Scales(address), device.Scales(address));
        }

        for (int columns = 16; columns <= 256; columns += 16)
        {
            for (int k = 0; k < 4; k++)
            {
                Assert.Equal(TcgenDescriptor.Instruction(columns, k), device.Instruction(columns, k));

                // How the kernel puts it together, tile by tile and then input by input.
                Assert.Equal(TcgenDescriptor.Instruction(columns, k), device.Instruction(columns, 0) | device.Instruction(0, k));
            }
        }
    }

    [Fact]
    public void Four_lanes_transpose_their_bytes()
    {
        using var device = new HostLayout();
        uint[] words = [0x03020100, 0x13121110, 0x23222120, 0x33323130];
        for (int round = 0; round < 2; round++)
        {
            uint[] before = [.. words];
            for (int lane = 0; lane < 4; lane++)
            {
                words[lane] = Permute(before[lane], before[lane ^ (1 << round)], device.TransposeSelector(lane, round));
            }
        }

        Assert.Equal([0x30201000u, 0x31211101u, 0x32221202u, 0x33231303u], words);
    }

    /// <summary>PTX ISA, <c>prmt</c>: selector nibble i names the byte, 0 to 3 of a and 4 to 7 of b, that becomes byte i.</summary>
    private static uint Permute(uint a, uint b, uint selector)
    {
        ulong bytes = ((ulong)b << 32) | a;
        uint result = 0;
        for (int i = 0; i < 4; i++)
        {
            int from = (int)(selector >> (4 * i) & 7);
            result |= (uint)(bytes >> (8 * from) & 0xFF) << (8 * i);
        }

        return result;
    }
}
