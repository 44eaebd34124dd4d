using System.Text.Json;

namespace Moe.Plugins.Cli.Tests;

public sealed class MakeModelTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public async Task The_sample_is_the_one_in_the_repository()
    {
        string made = _folder.File("sample");
        Assert.Equal(0, (await Cli.Run("make-model", made, "--size", "sample")).ExitCode);
        foreach (string name in (string[])["config.json", "model.safetensors", "tokenizer.json"])
        {
            string shipped = Path.Combine(Repository.Root, "samples", "gpt-oss-sample", name);
            Assert.True(File.ReadAllBytes(shipped).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(made, name))), $"{name} differs.");
        }

        Assert.InRange(Directory.GetFiles(made).Sum(file => new FileInfo(file).Length), 1, 1 << 20);
    }

    [Fact]
    public async Task A_tiny_model_can_be_run_whole_and_by_layer()
    {
        string made = _folder.File("tiny");
        Assert.Equal(0, (await Cli.Run("make-model", made, "--layers", "2", "--seed", "5")).ExitCode);
        JsonElement json = (await Cli.Run("generate", "--model", made, "--prompt-ids", "1,2,3", "--max-tokens", "3", "--json")).Json();
        Assert.Equal(3, json.GetProperty("generated").GetArrayLength());
        Assert.Equal(2, json.GetProperty("layers").GetArrayLength());
        JsonElement layer = (await Cli.Run("run", "--model", made, "--layer", "1", "--tokens", "4", "--verify", "--json")).Json();
        Assert.True(layer.GetProperty("passed").GetBoolean());
    }

    /// <summary>A model of four layers from the files of one that has two.</summary>
    [Fact]
    public async Task Layers_that_are_not_stored_load_those_that_are()
    {
        string large = _folder.File("large"), small = _folder.File("small");
        Assert.Equal(0, (await Cli.Run("make-model", large, "--layers", "4", "--stored-layers", "2")).ExitCode);
        Assert.Equal(0, (await Cli.Run("make-model", small, "--layers", "2")).ExitCode);
        Assert.Equal(File.ReadAllBytes(Path.Combine(small, "model.safetensors")), File.ReadAllBytes(Path.Combine(large, "model.safetensors")));
        JsonElement of4 = (await Cli.Run("generate", "--model", large, "--prompt-ids", "1,2,3", "--max-tokens", "3", "--json")).Json();
        Assert.Equal(["model.layers.0.mlp", "model.layers.1.mlp", "model.layers.2.mlp", "model.layers.3.mlp"], of4.GetProperty("layers").EnumerateArray().Select(layer => layer.GetProperty("name").GetString()));
        Cli bench = await Cli.Run("bench", "model", "--model", large, "--prompt", "4", "--batch", "1", "--context-tokens", "4", "--seconds", "0.01");
        Assert.Contains("4 layers with the weights of 2", bench.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gpt-oss-20b", 13_761_264_768)] // total_size of the published index
    [InlineData("gpt-oss-120b", 65_248_815_744)]
    public void The_published_sizes_to_the_byte(string size, long bytes) =>
        Assert.Equal(bytes, RandomModel.Tensors(ModelSizes.Find(size)!, seed: 1).Sum(tensor => tensor.ByteCount));

    [Fact]
    public async Task A_seed_is_all_that_the_bytes_depend_on()
    {
        byte[][] files = [await MakeAsync("a", "1"), await MakeAsync("b", "1"), await MakeAsync("c", "2")];
        Assert.Equal(files[0], files[1]);
        Assert.NotEqual(files[0], files[2]);

        async Task<byte[]> MakeAsync(string name, string seed)
        {
            Assert.Equal(0, (await Cli.Run("make-model", _folder.File(name), "--seed", seed)).ExitCode);
            return File.ReadAllBytes(Path.Combine(_folder.File(name), "model.safetensors"));
        }
    }

    [Fact]
    public async Task Nothing_is_written_over()
    {
        File.WriteAllText(_folder.File("here"), "mine");
        Cli result = await Cli.Run("make-model", _folder.Path);
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains("not empty", result.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.BadInput, (await Cli.Run("make-model", _folder.File("new"), "--size", "huge")).ExitCode);
        Assert.Equal(["here"], Directory.GetFileSystemEntries(_folder.Path).Select(Path.GetFileName));
    }

    public void Dispose() => _folder.Dispose();
}
