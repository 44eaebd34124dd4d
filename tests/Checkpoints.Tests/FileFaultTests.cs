using System.Diagnostics;
using System.Text;

namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>Files that are no files, files that change while they are open, and files of very many names.</summary>
public sealed class FileFaultTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Theory]
    [InlineData(0)]
    [InlineData(50)]
    public void A_file_that_is_cut_short_while_it_is_open_is_an_error_and_not_the_end(int keptBytes)
    {
        var writer = new SafetensorsWriter();
        writer.Add("x", SafetensorsType.U8, [100, 1000], new byte[100_000]);
        string path = _folder.File("a.safetensors");
        writer.Save(path);
        using var file = SafetensorsFile.Open(path);
        MoeStoredTensor tensor = file.GetTensor(file.Tensors["x"]);
        using (FileStream stream = File.Open(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            stream.SetLength(keptBytes == 0 ? 0 : stream.Length - 100_000 + keptBytes);
        }

        foreach (MoeStoredTensor part in (MoeStoredTensor[])[tensor, tensor.Slice(0, 1, 0, 100, 10, 50)])
        {
            var exception = Assert.Throws<MoeException>(() => MoeBuffer.OnHost(part));
            Assert.Equal(MoeReason.Checkpoint, exception.Reason);
            Assert.All([path, "'x'", "cut short"], word => Assert.Contains(word, exception.Message, StringComparison.Ordinal));
        }
    }

    [Fact]
    public void Any_rectangle_is_read_as_it_is_stored()
    {
        // Rows so long that some reads go through a buffer and some do not.
        const int rows = 37, columns = 40_001;
        byte[] bytes = new byte[2 * rows * columns];
        new Random(5).NextBytes(bytes);
        var writer = new SafetensorsWriter();
        writer.Add("x", SafetensorsType.U8, [2, rows, columns], bytes);
        writer.Save(_folder.File("a.safetensors"));
        using var file = SafetensorsFile.Open(_folder.File("a.safetensors"));
        MoeStoredTensor tensor = file.GetTensor(file.Tensors["x"]);
        foreach ((int plane, int row, int rowCount, int column, int columnCount) in (ReadOnlySpan<(int, int, int, int, int)>)
            [(1, 0, rows, 0, columns), (0, 3, 20, 7, 100), (1, 36, 1, 40_000, 1), (0, 1, 30, 0, 20_000), (1, 0, rows, 39_000, 1001)])
        {
            using MoeBuffer read = MoeBuffer.OnHost(tensor.Slice(plane, 1, row, rowCount, column, columnCount));
            byte[] found = new byte[read.ByteCount];
            read.CopyToBytes(found);
            for (int i = 0; i < rowCount; i++)
            {
                Assert.Equal(bytes.AsSpan((((plane * rows) + row + i) * columns) + column, columnCount), found.AsSpan(i * columnCount, columnCount));
            }
        }
    }

    [Theory]
    [InlineData("model.safetensors")]
    [InlineData("config.json")]
    [InlineData("model.safetensors.index.json")]
    public void A_pipe_is_refused_without_waiting_for_whoever_writes_it(string name)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "pipes are told from files on Linux");
        using (var process = Process.Start("mkfifo", _folder.File(name)))
        {
            process.WaitForExit();
        }

        if (name == "config.json")
        {
            LayerFiles.Mxfp4(1).Save(_folder.File("model.safetensors"));
        }

        string message = Assert.Throws<MoeException>(() => Checkpoint.Open(_folder.Path)).Message;
        Assert.Contains("a pipe", message, StringComparison.Ordinal);
        Assert.Contains(name, message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/dev/zero", "a device")]
    [InlineData("/tmp", "a folder")]
    public void A_device_or_folder_is_no_file(string path, string kind)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "devices are told from files on Linux");
        Assert.Contains(kind, Assert.Throws<MoeException>(() => SafetensorsFile.Open(path)).Message, StringComparison.Ordinal);
    }

    /// <summary>As many as a model of 900 experts has. No name is kept twice: what it takes stays near what the files have.</summary>
    [Fact]
    public void An_index_of_half_a_million_names_opens()
    {
        const int count = 500_000;
        var header = new StringBuilder("{", count * 130);
        var index = new StringBuilder("""{"metadata":{"total_size":500000},"weight_map":{""", count * 130);
        for (int i = 0; i < count; i++)
        {
            string name = $"language_model.model.layers.{i / 5376}.ffn.others.{i % 5376 / 6}.w{i % 3}.weight_{(i % 6 < 3 ? "packed" : "scale")}";
            header.Append(i == 0 ? "" : ",").Append($$"""
                "{{name}}":{"dtype":"U8","shape":[1],"data_offsets":[{{i}},{{i + 1}}]}
                """);
            index.Append(i == 0 ? "" : ",").Append($"\"{name}\":\"a.safetensors\"");
        }

        _folder.Write("a.safetensors", header.Append('}').ToString(), count);
        string path = _folder.WriteText("model.safetensors.index.json", index.Append("}}").ToString());
        header.Clear();
        index.Clear();
        long before = GC.GetAllocatedBytesForCurrentThread();
        using var checkpoint = Checkpoint.Open(_folder.Path);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(count, checkpoint.Files[0].Tensors.Count);
        Assert.True(checkpoint.TryGetTensor("language_model.model.layers.92.ffn.others.5.w1.weight_scale", out _));
        Assert.InRange(allocated, 0, 10 * new FileInfo(path).Length);
    }

    public void Dispose() => _folder.Dispose();
}
