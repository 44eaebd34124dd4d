using System.Runtime.InteropServices;
using System.Text;

namespace Moe.Plugins.Checkpoints.Tests;

public sealed class SafetensorsFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public void What_the_writer_saved_comes_back()
    {
        var writer = new SafetensorsWriter();
        writer.Metadata["who"] = "a test";
        writer.Add("bytes", SafetensorsType.U8, [3], new byte[] { 1, 2, 3 });
        writer.Add("floats", SafetensorsType.F32, [2, 1], MemoryMarshal.AsBytes<float>([1.5f, -2f]).ToArray());
        writer.Add("nothing", SafetensorsType.F32, [0, 7], default);
        writer.Add("scalar", SafetensorsType.I32, [], new byte[] { 9, 0, 0, 0 });
        writer.Save(_folder.File("a.safetensors"));

        using var file = SafetensorsFile.Open(_folder.File("a.safetensors"));
        Assert.Equal("a test", file.Metadata["who"]);
        Assert.Equal(4, file.Tensors.Count);
        Assert.Equal("F32 [2, 1]", file.Tensors["floats"].ToString());
        Assert.Equal(-2f, ReadSingle(file.GetView(file.Tensors["floats"]).RowAddress(1)));
        Assert.Equal(3, Marshal.ReadByte(file.GetAddress(file.Tensors["bytes"]), 2));
        Assert.Equal(9, Marshal.ReadInt32(file.GetAddress(file.Tensors["scalar"])));
        MoeTensorView nothing = file.GetView(file.Tensors["nothing"]);
        Assert.Equal((0, 7), (nothing.Rows, nothing.Columns));
        Assert.Empty(Directory.GetFiles(_folder.Path, "*.tmp"));
    }

    [Fact]
    public void Dimensions_beyond_the_second_run_along_the_row()
    {
        var writer = new SafetensorsWriter();
        writer.Add("blocks", SafetensorsType.U8, [2, 3, 4, 5], new byte[120]);
        writer.Save(_folder.File("a.safetensors"));

        using var file = SafetensorsFile.Open(_folder.File("a.safetensors"));
        MoeTensorView view = file.GetView(file.Tensors["blocks"]);
        Assert.Equal((2, 3, 20), (view.Planes, view.Rows, view.Columns));
        Assert.Equal(60, view.PlaneStride);
    }

    [Fact]
    public void Bf16_at_an_odd_offset_is_read_where_it_is()
    {
        string path = _folder.Write(
            "odd.safetensors",
            """{"pad":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"BF16","shape":[2],"data_offsets":[1,5]}}""",
            0);
        using (FileStream stream = File.Open(path, FileMode.Append))
        {
            stream.Write([0xFF, 0x80, 0x3F, 0x00, 0x40]);
        }

        using var file = SafetensorsFile.Open(path);
        MoeTensorView view = file.GetView(file.Tensors["x"]);
        Assert.Equal(0x3F80, (ushort)Marshal.ReadInt16(view.Address));
        Assert.Equal(0x4000, (ushort)Marshal.ReadInt16(view.Address, 2));
    }

    [Fact]
    public void A_type_that_the_contract_lacks_opens_and_has_no_view()
    {
        string path = _folder.Write("f64.safetensors", """{"x":{"dtype":"F64","shape":[1],"data_offsets":[0,8],"note":{"a":[1]}}}""", 8);
        using var file = SafetensorsFile.Open(path);
        Assert.Contains("F64 [1]", Assert.Throws<MoeException>(() => file.GetView(file.Tensors["x"])).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"x":{"dtype":"U8","shape":[4294967296],"data_offsets":[0,4294967296]}}""", 1L << 32)]
    [InlineData("""{"x":{"dtype":"F32","shape":[0,2147483647,2147483647],"data_offsets":[0,0]}}""", 0)]
    [InlineData("""{"x":{"dtype":"U8","shape":[0,4294967296],"data_offsets":[0,0]}}""", 0)]
    public void Sizes_beyond_the_contract_have_no_view(string header, long dataByteCount)
    {
        string path = _folder.Write("huge.safetensors", header, dataByteCount);
        using var file = SafetensorsFile.Open(path);
        Assert.Equal(MoeReason.Checkpoint, Assert.Throws<MoeException>(() => file.GetView(file.Tensors["x"])).Reason);
    }

    [Fact]
    public void After_dispose_no_address_is_given_out()
    {
        string path = _folder.Write("a.safetensors", """{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1);
        var file = SafetensorsFile.Open(path);
        file.Dispose();
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.GetView(file.Tensors["x"]));
    }

    [Fact]
    public void A_tensor_of_another_file_is_refused()
    {
        string path = _folder.Write("a.safetensors", """{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1);
        using var first = SafetensorsFile.Open(path);
        using var second = SafetensorsFile.Open(path);
        Assert.Throws<ArgumentException>(() => first.GetAddress(second.Tensors["x"]));
    }

    [Fact]
    public void Sixty_gigabytes_open_without_being_read()
    {
        const long bytes = 60L << 30;
        string path = _folder.Write("sparse.safetensors", $$$"""{"x":{"dtype":"U8","shape":[60,1073741824],"data_offsets":[0,{{{bytes}}}]}}""", bytes);
        long before = GC.GetAllocatedBytesForCurrentThread();
        using var file = SafetensorsFile.Open(path);
        MoeTensorView view = file.GetView(file.Tensors["x"]);
        Assert.Equal(0, Marshal.ReadByte(view.RowAddress(59)));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Fact]
    public void A_hundred_thousand_tensors_take_memory_in_proportion()
    {
        var header = new StringBuilder("{");
        const int count = 100_000;
        for (int i = 0; i < count; i++)
        {
            header.Append(i == 0 ? "" : ",").Append($$"""
                "model.layers.{{i}}.some.tensor.weight":{"dtype":"U8","shape":[1,2],"data_offsets":[{{2 * i}},{{(2 * i) + 2}}]}
                """);
        }

        string path = _folder.Write("many.safetensors", header.Append('}').ToString(), 2 * count);
        long before = GC.GetAllocatedBytesForCurrentThread();
        using var file = SafetensorsFile.Open(path);
        Assert.Equal(count, file.Tensors.Count);
        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) / count, 0, 2000);
    }

    [Fact]
    public void The_writer_refuses_data_of_another_length_and_a_name_twice()
    {
        var writer = new SafetensorsWriter();
        writer.Add("x", SafetensorsType.U8, [1], new byte[1]);
        Assert.Throws<ArgumentException>(() => writer.Add("x", SafetensorsType.U8, [1], new byte[1]));
        Assert.Throws<ArgumentException>(() => writer.Add("y", SafetensorsType.BF16, [1], new byte[1]));
        Assert.Throws<ArgumentException>(() => writer.Add("__metadata__", SafetensorsType.U8, [1], new byte[1]));
    }

    [Fact]
    public void A_path_that_cannot_be_written_is_an_error_that_names_it()
    {
        string path = Path.Combine(_folder.Path, "none", "a.safetensors");
        Assert.Contains(path, Assert.Throws<MoeException>(() => new SafetensorsWriter().Save(path)).Message, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    private static float ReadSingle(nint address) => BitConverter.Int32BitsToSingle(Marshal.ReadInt32(address));
}
