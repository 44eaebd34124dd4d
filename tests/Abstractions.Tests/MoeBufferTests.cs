using Moq;

namespace Moe.Plugins.Tests;

public sealed class MoeBufferTests
{
    [Fact]
    public void Numbers_are_rounded_to_bf16_and_come_back_widened()
    {
        using MoeBuffer buffer = MoeBuffer.OnHost(MoeElementType.BFloat16, 1, 4);
        buffer.CopyFrom([1f, -2.5f, 1.00390625f, float.NaN]);
        Assert.Equal([1f, -2.5f, 1f, float.NaN], buffer.ToSingles());
    }

    [Fact]
    public void Float32_keeps_its_bits_and_ids_theirs()
    {
        using MoeBuffer numbers = MoeBuffer.OnHost(MoeElementType.Float32, 2, 2);
        numbers.CopyFrom([0.1f, 0.2f, 0.3f, 0.4f]);
        Assert.Equal([0.1f, 0.2f, 0.3f, 0.4f], numbers.ToSingles());
        using MoeBuffer ids = MoeBuffer.OnHost(MoeElementType.Int32, 1, 3);
        ids.CopyFrom([7, -1, int.MaxValue]);
        int[] back = new int[3];
        ids.CopyTo(back);
        Assert.Equal([7, -1, int.MaxValue], back);
    }

    [Fact]
    public void A_tensor_of_any_row_stride_is_copied_in_and_one_of_another_size_is_not()
    {
        using MoeBuffer wide = MoeBuffer.OnHost(MoeElementType.Float32, 2, 3);
        wide.CopyFrom([1f, 2f, 99f, 3f, 4f, 99f]);
        using MoeBuffer buffer = MoeBuffer.OnHost(MoeElementType.Float32, 2, 2);

        buffer.CopyFrom(wide.View.FirstColumns(2));

        Assert.Equal([1f, 2f, 3f, 4f], buffer.ToSingles());
        Assert.Contains("1 × 2 × 2 of Float32 on cpu is expected", Assert.Throws<ArgumentException>(() => buffer.CopyFrom(wide.View)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_that_returns_no_address_is_named()
    {
        var memory = new Mock<IMoeMemory>();
        memory.Setup(m => m.Device).Returns(MoeDevice.Cuda(1));
        MoeException refused = Assert.Throws<MoeException>(() => new MoeBuffer(memory.Object, MoeElementType.Float32, 2, 3));
        Assert.Equal((MoeReason.ContractBroken, "IMoeMemory.Allocate returned no address for 24 bytes on cuda:1."), (refused.Reason, refused.Message));
        memory.Verify(m => m.Free(It.IsAny<nint>()), Times.Never);
    }

    [Fact]
    public void Wrong_lengths_and_types_are_refused()
    {
        using MoeBuffer buffer = MoeBuffer.OnHost(MoeElementType.UInt8, 1, 4);
        Assert.Throws<ArgumentException>(() => buffer.CopyFromBytes([1, 2, 3]));
        Assert.Throws<InvalidOperationException>(() => buffer.CopyFrom([1f, 2f, 3f, 4f]));
        Assert.Throws<InvalidOperationException>(() => buffer.CopyFrom([1, 2, 3, 4]));
    }

    [Fact]
    public void Memory_is_freed_once_and_not_used_after()
    {
        var memory = new Mock<IMoeMemory>();
        memory.Setup(m => m.Allocate(64)).Returns(0x1000);
        var buffer = new MoeBuffer(memory.Object, MoeElementType.BFloat16, 4, 8);
        Assert.Equal(0x1000, buffer.View.Address);
        buffer.Dispose();
        buffer.Dispose();
        memory.Verify(m => m.Free(0x1000), Times.Once);
        Assert.Throws<ObjectDisposedException>(buffer.Clear);
    }

    [Theory]
    [InlineData(0x3F808000u, 0x3F80)]
    [InlineData(0x3F818000u, 0x3F82)]
    [InlineData(0x7F7FFFFFu, 0x7F80)]
    [InlineData(0x7F800001u, 0x7FC0)]
    [InlineData(0x80000001u, 0x8000)]
    public void Bf16_rounds_to_nearest_even(uint bits, int expected) =>
        Assert.Equal(expected, MoeBFloat16.FromSingle(BitConverter.UInt32BitsToSingle(bits)));
}
