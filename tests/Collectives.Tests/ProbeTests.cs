using System.Diagnostics;

namespace Moe.Plugins.Collectives.Tests;

/// <summary>What is refused before a device is touched, and in which words.</summary>
public sealed class ProbeTests
{
    private static readonly MoeGroupRequest Two = new() { Devices = [MoeDevice.Cuda(0), MoeDevice.Cuda(1)], MaxTokens = 4, Width = 2880 };

    [Fact]
    public void Layers_are_others_business()
    {
        MoeSelectionReport report = CollectivesHost.Shared.Explain(new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B, Backend = CollectivesHost.Id });

        Assert.Null(report.Selected);
        Assert.Contains("it joins devices into groups, and runs no layers", report.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Ranks_on_a_processor_are_others_business() =>
        Refuses(Two with { Devices = [MoeDevice.Cuda(0), MoeDevice.Cpu] }, MoeReason.NoDevice, "Its groups are of CUDA devices, and cpu was asked for.");

    [Fact]
    public void A_width_of_no_whole_pieces_is_refused() => Refuses(Two with { Width = 2884 }, MoeReason.Shape, "2884 columns are no multiple of 8.");

    [Fact]
    public void A_width_that_no_block_holds_is_refused() =>
        Refuses(Two with { Width = 1 << 16 }, MoeReason.Shape, "65536 columns of BFloat16 are more than the 32768 that its kernels take.");

    [Fact]
    public void More_ranks_than_kernels_count_are_refused() =>
        Refuses(Two with { Devices = [.. Enumerable.Repeat(MoeDevice.Cuda(0), 65)] }, MoeReason.Shape, "65 ranks are more than the 64 that its kernels take.");

    [Fact]
    public void A_wrong_request_is_an_answer_and_no_exception() => Refuses(Two with { MaxTokens = 0 }, MoeReason.Configuration, "MaxTokens is 0");

    [Fact]
    public void A_group_that_is_refused_is_not_made()
    {
        MoeException error = Assert.Throws<MoeException>(() => CollectivesHost.Backend.CreateGroup(Two with { Width = 2884 }));

        Assert.Equal(MoeReason.Shape, error.Reason);
    }

    [Theory]
    [InlineData("push")]
    [InlineData("push:0:1:1")]
    [InlineData("shove:132:1:1024")]
    [InlineData("push:132:1:1024:7")]
    public void A_plan_that_is_none_is_refused_in_words_that_help(string plan)
    {
        using MoeHost host = CollectivesHost.Create(("Plan", plan));

        MoePluginInfo plugin = host.Plugins.Single(plugin => plugin.Id == CollectivesHost.Id);

        Assert.Contains($"is '{plan}'", plugin.Message, StringComparison.Ordinal);
        Assert.Contains("as in push:132:2:1024", plugin.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{", "is no table of reductions")]
    [InlineData("{\"reductions\": []}", "it has no reductions")]
    [InlineData("{\"reductions\": [{\"ranks\": 2, \"plan\": \"shove:1:1:1\"}]}", "'shove:1:1:1' is no plan")]
    [InlineData("{\"reductions\": [{\"ranks\": 2, \"bytes\": 4, \"plan\": \"push:1:1:1\"}]}", "none of 2 ranks is without bytes")]
    [InlineData("{\"reductions\": [{\"ranks\": \"two\", \"plan\": \"push:1:1:1\"}]}", "is no table of reductions")]
    public void A_table_that_is_none_is_refused_in_words_that_help(string json, string words)
    {
        string path = Path.GetTempFileName();
        File.WriteAllText(path, json);
        using MoeHost host = CollectivesHost.Create(("Table", path));
        string message = host.Plugins.Single(plugin => plugin.Id == CollectivesHost.Id).Message;
        File.Delete(path);

        Assert.Contains(words, message, StringComparison.Ordinal);
        Assert.Contains(path, message, StringComparison.Ordinal);
        Assert.Contains("What `moe bench parallel --tune` writes is expected", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Transport", "Pigeon", "Auto, PeerMemory, Nccl is expected")]
    [InlineData("NvLinkMulticast", "perhaps", "true or false is expected")]
    [InlineData("Table", "/nowhere/table.json", "cannot be read")]
    public void A_setting_that_is_wrong_is_named(string key, string value, string words)
    {
        using MoeHost host = CollectivesHost.Create((key, value));

        string message = host.Plugins.Single(plugin => plugin.Id == CollectivesHost.Id).Message;

        Assert.Contains($"MoeOptions.Plugins:Collectives.Cuda:{key}", message, StringComparison.Ordinal);
        Assert.Contains(words, message, StringComparison.Ordinal);
    }

    /// <summary>A table is a file; what is none is refused by its kind, and a pipe is not waited for.</summary>
    [Theory]
    [InlineData("pipe", "is a pipe; a file is expected")]
    [InlineData("folder", "is a folder; a file is expected")]
    [InlineData("/dev/zero", "is a device; a file is expected")]
    [InlineData("", "the path of a file or folder is expected")]
    public void A_table_that_is_no_file_is_named_by_its_kind(string what, string words)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Kinds of files are as they are on Linux.");
        string folder = Directory.CreateTempSubdirectory("moe-table-").FullName;
        string path = what.Length == 0 || what[0] == '/' ? what : Path.Combine(folder, what);
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "folder"));
            using (Process pipe = Process.Start("mkfifo", Path.Combine(folder, "pipe")))
            {
                pipe.WaitForExit();
            }

            using MoeHost host = CollectivesHost.Create(("Table", path));
            string message = host.Plugins.Single(plugin => plugin.Id == CollectivesHost.Id).Message;
            Assert.Contains("MoeOptions.Plugins:Collectives.Cuda:Table", message, StringComparison.Ordinal);
            Assert.Contains($"{words}.", message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Refuses(MoeGroupRequest request, MoeReason reason, string words)
    {
        MoeProbeResult result = CollectivesHost.Backend.ProbeGroup(request);

        Assert.Equal(reason, result.Reason);
        Assert.Contains(words, result.Message, StringComparison.Ordinal);
    }
}
