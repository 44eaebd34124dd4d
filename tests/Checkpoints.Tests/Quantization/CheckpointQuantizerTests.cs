using System.Text.Json;
using System.Text.Json.Nodes;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Checkpoints.Tests;

public sealed class CheckpointQuantizerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly TemporaryFolder _output = new();

    /// <summary>An expert each, one tensor of all, interleaved with biases, transposed, without a gate, and under other names.</summary>
    [Theory]
    [InlineData("qwen3-moe")]
    [InlineData("granite-moe")]
    [InlineData("gpt-oss")]
    [InlineData("llama4")]
    [InlineData("nemotron-h")]
    [InlineData("mixtral")]
    public void What_was_written_is_read_as_the_same_layer_but_for_rounding(string name)
    {
        QuantizationReport report = Quantize(FamilyGolden.Folder(name), Output);
        using FamilyGolden golden = FamilyGolden.Open(name);
        using var checkpoint = Checkpoint.Open(Output);
        CheckpointLayer layer = Assert.Single(checkpoint.MoeLayers);
        CheckpointLayer before = golden.Layer;
        Assert.Equal(before.Shape with { WeightFormat = MoeWeightFormat.Mxfp4 }, layer.Shape);
        (double errors, double squares) = (0, 0);
        for (int expert = 0; expert < layer.Shape.ExpertCount; expert++)
        {
            foreach ((MoeExpertReader was, MoeExpertReader reader) in ((MoeExpertReader, MoeExpertReader)[])[(before.GateUp(), layer.GateUp()), (before.Down(), layer.Down())])
            {
                float[] expected = was.Singles(expert), found = reader.Singles(expert);
                errors += expected.Zip(found).Sum(pair => Math.Pow((double)pair.First - pair.Second, 2));
                squares += expected.Sum(value => (double)value * value);
                Assert.Equal(was.Bias(expert), reader.Bias(expert));
            }
        }

        Assert.Equal(Math.Sqrt(errors / squares), Assert.Single(report.Layers).RelativeError, 1e-9);
        Assert.InRange(report.Layers[0].RelativeError, 0.05, 0.13);
        CheckOthers(golden.Checkpoint, checkpoint);
    }

    public static TheoryData<string, string, string> Models =>
    [
        .. SyntheticFamily.All.Select(family => (family.Name, "bf16", "bf16")),
        ("deepseek-v3", "fp8 f32", "fp8 f32"),
        ("kimi-k3", "f16", "bf16"),
    ];

    [Theory]
    [MemberData(nameof(Models))]
    public void Any_family_and_format_comes_back(string family, string format, string others)
    {
        SyntheticFamily.All.Single(one => one.Name == family)
            .Create(StoredFormat.All.Single(one => one.Name == format), StoredFormat.All.Single(one => one.Name == others), out _)
            .Save(_folder.Path);
        _folder.WriteText("tokenizer.json", "{}");
        Quantize(_folder.Path, Output);
        using var before = Checkpoint.Open(_folder.Path);
        using var checkpoint = Checkpoint.Open(Output);
        Assert.Equal(before.MoeLayers[0].Shape with { WeightFormat = MoeWeightFormat.Mxfp4 }, Assert.Single(checkpoint.MoeLayers).Shape);
        Assert.Equal("{}", File.ReadAllText(Path.Combine(Output, "tokenizer.json")));
    }

    [Fact]
    public void The_config_announces_it_and_lists_what_was_left()
    {
        Quantize(FamilyGolden.Folder("afmoe"), Output);
        JsonElement quantization = JsonDocument.Parse(File.ReadAllText(Path.Combine(Output, "config.json"))).RootElement.GetProperty("quantization_config");
        Assert.Equal("compressed-tensors", quantization.GetProperty("quant_method").GetString());
        Assert.Equal("mxfp4-pack-quantized", quantization.GetProperty("format").GetString());
        string[] ignored = [.. quantization.GetProperty("ignore").EnumerateArray().Select(item => item.GetString()!)];
        Assert.Contains("model.layers.1.mlp.router.gate", ignored);
        Assert.Contains("model.layers.1.mlp.shared_experts.up_proj", ignored);
        Assert.DoesNotContain(ignored, item => item.Contains(".experts.", StringComparison.Ordinal));
    }

    [Fact]
    public void A_run_that_was_ended_goes_on_and_ends_the_same()
    {
        using var source = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => CheckpointQuantizer.ToMxfp4(
            FamilyGolden.Folder("qwen2-moe"), Output, progress: new Stop(source), cancellationToken: source.Token));
        Assert.False(File.Exists(Path.Combine(Output, "config.json")));
        Quantize(FamilyGolden.Folder("qwen2-moe"), Output);

        string fresh = Path.Combine(_output.Path, "fresh");
        Quantize(FamilyGolden.Folder("qwen2-moe"), fresh);
        string[] files = [.. Directory.GetFiles(fresh).Select(file => Path.GetFileName(file)!).Order()];
        Assert.Equal(files, Directory.GetFiles(Output).Select(file => Path.GetFileName(file)!).Order());
        Assert.All(files, file => Assert.Equal(File.ReadAllBytes(Path.Combine(fresh, file)), File.ReadAllBytes(Path.Combine(Output, file))));

        // What is whole is not written again.
        string shard = Path.Combine(Output, files.First(file => file.EndsWith(".safetensors", StringComparison.Ordinal)));
        File.SetLastWriteTimeUtc(shard, new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        Quantize(FamilyGolden.Folder("qwen2-moe"), Output);
        Assert.Equal(2020, File.GetLastWriteTimeUtc(shard).Year);
    }

    [Fact]
    public void What_a_run_that_was_killed_left_half_written_is_taken_away()
    {
        string model = FamilyGolden.Folder("olmoe");
        Quantize(model, Output);
        string[] files = Files();

        // A process that is killed has no time to take its files away; it may not even have come to the file that says whose folder it is.
        foreach (bool hasBegun in (bool[])[true, false])
        {
            if (!hasBegun)
            {
                Directory.Delete(Output, recursive: true);
                Directory.CreateDirectory(Output);
            }

            File.WriteAllText(Path.Combine(Output, $".moe-{Guid.NewGuid():N}.tmp"), "half");
            File.WriteAllText(Path.Combine(Output, ".moe-quantize.lock"), "");
            Quantize(model, Output);
            Assert.Equal(files, Files());
        }

        string[] Files() => [.. Directory.GetFiles(Output).Order()];
    }

    [Fact]
    public void A_shard_that_was_cut_short_or_taken_away_is_written_again()
    {
        string model = FamilyGolden.Folder("olmoe");
        Quantize(model, Output);
        string[] shards = Directory.GetFiles(Output, "*.safetensors");
        byte[][] before = [.. shards.Select(File.ReadAllBytes)];
        using (FileStream shard = File.OpenWrite(shards[0]))
        {
            shard.SetLength(shard.Length - 1);
        }

        File.Delete(shards[1]);
        Quantize(model, Output);
        Assert.Equal(before, shards.Select(File.ReadAllBytes));
    }

    [Fact]
    public void A_tensor_that_two_shards_have_is_copied_from_where_the_index_places_it()
    {
        string model = FamilyGolden.Folder("olmoe");
        var places = new JsonObject();
        using (var checkpoint = Checkpoint.Open(model))
        {
            foreach (string name in checkpoint.Files[0].Tensors.Keys)
            {
                places[name] = name.Contains(".experts.", StringComparison.Ordinal) ? "a.safetensors" : "b.safetensors";
            }
        }

        File.Copy(Path.Combine(model, "model.safetensors"), _folder.File("a.safetensors"));
        File.Copy(Path.Combine(model, "model.safetensors"), _folder.File("b.safetensors"));
        File.Copy(Path.Combine(model, "config.json"), _folder.File("config.json"));
        _folder.WriteText("model.safetensors.index.json", new JsonObject { ["weight_map"] = places }.ToJsonString());
        Quantize(_folder.Path, Output);
        using var before = Checkpoint.Open(_folder.Path);
        using var after = Checkpoint.Open(Output);
        Assert.Equal(2, after.Files.Count);
        CheckOthers(before, after);
    }

    [Fact]
    public void A_folder_that_another_process_writes_is_refused()
    {
        Directory.CreateDirectory(Output);
        using (File.Open(Path.Combine(Output, ".moe-quantize.lock"), FileMode.Create, FileAccess.ReadWrite, FileShare.None))
        {
            Assert.Contains("another process", Refusal(FamilyGolden.Folder("olmoe"), Output), StringComparison.Ordinal);
        }

        Quantize(FamilyGolden.Folder("olmoe"), Output);
    }

    [Fact]
    public void A_lock_whose_file_was_deleted_meanwhile_is_none()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Elsewhere nothing tells how many names an open file has.");
        Directory.CreateDirectory(Output);
        int opened = 0;
        using FileStream held = QuantizationState.Lock(Output, path =>
        {
            if (opened++ == 0)
            {
                File.Delete(path);
            }
        });
        Assert.Equal(2, opened);
        MoeException error = Assert.Throws<MoeException>(() => QuantizationState.Lock(Output));
        Assert.Contains("another process", error.Message, StringComparison.Ordinal);
    }

    /// <summary>
    /// Sees a lock that does not lock, and a folder refused as somebody else's because others are just beginning in it. The moment between the opening of a
    /// lock file and its locking is too short to be met here: that is the test above.
    /// </summary>
    [Fact]
    public void Of_those_who_come_and_go_one_at_a_time_has_the_folder()
    {
        using var checkpoint = Checkpoint.Open(FamilyGolden.Folder("olmoe"));
        int holders = 0, taken = 0;
        bool isShared = false;
        Parallel.For(0, 8, _ =>
        {
            while (Volatile.Read(ref taken) < 300 && !Volatile.Read(ref isShared))
            {
                try
                {
                    using QuantizationState state = QuantizationState.Open(Output, checkpoint, searches: true);
                    if (Interlocked.Increment(ref holders) > 1)
                    {
                        Volatile.Write(ref isShared, true);
                    }

                    if (Interlocked.Increment(ref taken) % 4 == 0)
                    {
                        Thread.Sleep(1);
                    }

                    Interlocked.Decrement(ref holders);
                }
                catch (MoeException exception) when (exception.Message.Contains("another process", StringComparison.Ordinal))
                {
                }
            }
        });
        Assert.False(isShared);
    }

    [Fact]
    public void Room_is_looked_for_before_anything_is_written()
    {
        const long Most = 1L << 40;
        Assert.SkipWhen(new DriveInfo(_output.Path).AvailableFreeSpace >= Most, "This disk has room for any model.");
        foreach (string file in Directory.GetFiles(FamilyGolden.Folder("olmoe")))
        {
            File.Copy(file, _folder.File(Path.GetFileName(file)));
        }

        // A file without blocks on the disk; other files than tensors count as well.
        using (FileStream sparse = File.Create(_folder.File("consolidated.bin")))
        {
            sparse.SetLength(Most);
        }

        Assert.Contains("bytes more, and its file system has", Refusal(_folder.Path, Output), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(Output, "*.safetensors"));
    }

    [Fact]
    public void A_folder_that_holds_something_else_is_left_alone()
    {
        _output.WriteText("precious.txt", "x");
        Assert.Contains("holds something else", Refusal(FamilyGolden.Folder("olmoe"), _output.Path), StringComparison.Ordinal);
        Assert.Equal([_output.File("precious.txt")], Directory.GetFileSystemEntries(_output.Path));

        Quantize(FamilyGolden.Folder("olmoe"), Output);
        Assert.Contains("another model", Refusal(FamilyGolden.Folder("qwen2-moe"), Output), StringComparison.Ordinal);
        Assert.Contains("another model", Assert.Throws<MoeException>(() => Quantize(FamilyGolden.Folder("olmoe"), Output, searches: false)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Experts_in_four_bits_are_not_quantised_again() =>
        Assert.Contains("Mxfp4 already", Refusal(FamilyGolden.Folder("glm4-moe-quark"), Output), StringComparison.Ordinal);

    public void Dispose()
    {
        _folder.Dispose();
        _output.Dispose();
    }

    private string Output => Path.Combine(_output.Path, "out");

    private static QuantizationReport Quantize(string model, string output, bool searches = true) =>
        CheckpointQuantizer.ToMxfp4(model, output, searches, cancellationToken: TestContext.Current.CancellationToken);

    private static string Refusal(string model, string output) =>
        Assert.Throws<MoeException>(() => Quantize(model, output)).Message;

    private static void CheckOthers(Checkpoint before, Checkpoint after)
    {
        var found = after.Files.SelectMany(file => file.Tensors.Values.Select(tensor => (file, tensor))).ToDictionary(pair => pair.tensor.Name);
        int others = 0;
        foreach (SafetensorsFile file in before.Files)
        {
            foreach (SafetensorsTensor tensor in file.Tensors.Values.Where(tensor => found.ContainsKey(tensor.Name)))
            {
                (SafetensorsFile copyFile, SafetensorsTensor copy) = found[tensor.Name];
                Assert.Equal(tensor.ToString(), copy.ToString());
                Assert.Equal(Bytes(file.GetTensor(tensor)), Bytes(copyFile.GetTensor(copy)));
                others++;
            }
        }

        Assert.NotEqual(0, others);
    }

    private static byte[] Bytes(MoeStoredTensor tensor)
    {
        using MoeBuffer buffer = MoeBuffer.OnHost(tensor);
        byte[] bytes = new byte[buffer.ByteCount];
        buffer.CopyToBytes(bytes);
        return bytes;
    }

    private sealed class Stop(CancellationTokenSource source) : IProgress<double>
    {
        public void Report(double value)
        {
            if (value > 0.3)
            {
                source.Cancel();
            }
        }
    }
}
