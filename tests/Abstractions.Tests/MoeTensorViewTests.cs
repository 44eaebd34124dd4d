namespace Moe.Plugins.Abstractions.Tests;

public sealed class MoeTensorViewTests
{
    [Fact]
    public void Strides_are_dense_unless_given()
    {
        var view = new MoeTensorView(4096, MoeDevice.Cpu, MoeElementType.BFloat16, rows: 3, columns: 10, planes: 2);

        Assert.Equal((20, 60), (view.RowStride, view.PlaneStride));
        Assert.Equal(4096 + 60 + 40, view.RowAddress(2, 1));
    }

    [Fact]
    public void A_part_keeps_the_strides()
    {
        var view = new MoeTensorView(4096, MoeDevice.Cuda(1), MoeElementType.Float32, rows: 8, columns: 10, rowStride: 64);

        MoeTensorView part = view.FirstRows(2).FirstColumns(4);

        Assert.Equal((2, 4, 64L, 16L), (part.Rows, part.Columns, part.RowStride, part.RowBytes));
        Assert.Throws<ArgumentOutOfRangeException>(() => view.FirstColumns(11));
        Assert.Throws<ArgumentOutOfRangeException>(() => view.FirstRows(9));
    }

    [Fact]
    public void A_stride_shorter_than_a_row_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(
            () => new MoeTensorView(4096, MoeDevice.Cpu, MoeElementType.Float32, rows: 2, columns: 10, rowStride: 39));

    [Theory]
    [InlineData("rowStride", 600, 1L << 62, 1, 0L)]
    [InlineData("rowStride", 2, long.MaxValue, 1, 0L)]
    [InlineData("planeStride", 8, 1L << 57, 8, 1L << 56)]
    [InlineData("planeStride", 8, 64L, 8, 1L << 60)]
    public void A_stride_that_leads_out_of_all_memory_is_named(string name, int rows, long rowStride, int planes, long planeStride) => Assert.Equal(
        name,
        Assert.Throws<ArgumentOutOfRangeException>(
            () => new MoeTensorView(4096, MoeDevice.Cpu, MoeElementType.Float32, rows, 10, rowStride, planes, planeStride)).ParamName);

    [Fact]
    public void Elements_need_an_address() =>
        Assert.Throws<ArgumentException>(() => new MoeTensorView(0, MoeDevice.Cpu, MoeElementType.UInt8, rows: 1, columns: 1));

    [Fact]
    public void No_tokens_need_none() =>
        Assert.True(new MoeTensorView(0, MoeDevice.Cpu, MoeElementType.BFloat16, rows: 0, columns: 2880).IsEmpty);

    [Theory]
    [InlineData("cpu", true, "cpu")]
    [InlineData("CPU", true, "cpu")]
    [InlineData("0", true, "cuda:0")]
    [InlineData("cuda:3", true, "cuda:3")]
    [InlineData("cuda:-1", false, "cpu")]
    [InlineData("gpu", false, "cpu")]
    [InlineData("", false, "cpu")]
    [InlineData(null, false, "cpu")]
    public void Devices_are_read_as_people_write_them(string? text, bool isDevice, string device)
    {
        Assert.Equal(isDevice, MoeDevice.TryParse(text, out MoeDevice parsed));
        Assert.Equal(device, parsed.ToString());
    }
}
