using System.IO.Compression;
using System.Security.Cryptography;

namespace Moe.Plugins.Packages.Tests;

/// <summary>A program of somebody who has the packages and nothing else.</summary>
public sealed class ConsumerTests(PackedPackages packages)
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_fresh_program_loads_a_plugin_reads_a_checkpoint_runs_a_layer_and_asks_for_cuda()
    {
        string folder = await packages.MakeFolderAsync("consumer");
        foreach (string file in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "Consumer")))
        {
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        }

        await OtherProgram.DotnetAsync(folder, Token, "build", "-o", "out", "-v", "q");
        string output = await OtherProgram.DotnetAsync(
            folder,
            Token,
            Path.Combine(folder, "out", "Consumer.dll"),
            Path.Combine(AppContext.BaseDirectory, "plugins"),
            Path.Combine(AppContext.BaseDirectory, "pad-hidden.safetensors"),
            Path.Combine(folder, "staging"));

        Assert.Contains("Cpu ran 17 tokens of 320 values.", output, StringComparison.Ordinal);
        Assert.Contains("CUDA: ", output, StringComparison.Ordinal);

        // The program that plugins are tried in came with the host's package.
        Assert.Contains("Trial: It did no harm to a process of its own.", output, StringComparison.Ordinal);
        Assert.All(["Abstractions", "Checkpoints", "Cuda", "Host"], name => Assert.Equal(Hash(Packed(name)), Hash(File.OpenRead(Path.Combine(folder, "out", $"Moe.Plugins.{name}.dll")))));
    }

    // What was restored may otherwise be an older package of the same version.
    private MemoryStream Packed(string name)
    {
        using ZipArchive zip = ZipFile.OpenRead(packages.PackageFile($"Moe.Plugins.{name}"));
        using Stream stream = zip.GetEntry($"lib/net10.0/Moe.Plugins.{name}.dll")!.Open();
        var bytes = new MemoryStream();
        stream.CopyTo(bytes);
        bytes.Position = 0;
        return bytes;
    }

    private static string Hash(Stream stream)
    {
        using (stream)
        {
            return Convert.ToHexString(SHA256.HashData(stream));
        }
    }
}
