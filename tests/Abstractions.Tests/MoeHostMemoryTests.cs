namespace Moe.Plugins.Tests;

/// <summary>What would write beyond memory, or end the process, is refused by the name of the argument.</summary>
public sealed class MoeHostMemoryTests
{
    private static readonly MoeHostMemory Memory = MoeHostMemory.Instance;

    [Theory]
    [InlineData(long.MinValue)]
    [InlineData(-1)]
    public void Fewer_bytes_than_none_are_refused_by_the_arguments_name(long count)
    {
        nint address = Memory.Allocate(16);
        Assert.Throws<ArgumentOutOfRangeException>("byteCount", () => Memory.Allocate(count));
        Assert.Throws<ArgumentOutOfRangeException>("byteCount", () => Memory.Zero(address, count, 0));
        Assert.Throws<ArgumentOutOfRangeException>("byteCount", () => Memory.CopyIn(address, address, count, 0));
        Assert.Throws<ArgumentOutOfRangeException>("byteCount", () => Memory.CopyOut(address, address, count, 0));
        Assert.Throws<ArgumentOutOfRangeException>("rowBytes", () => Memory.Copy2D(address, 8, address, 8, count, 1, 0));
        Assert.Throws<ArgumentOutOfRangeException>("rows", () => Memory.Copy2D(address, 8, address, 8, 8, int.MinValue, 0));
        Memory.Free(address);
    }
}
