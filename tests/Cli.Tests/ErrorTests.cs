namespace Moe.Plugins.Cli.Tests;

public sealed class ErrorTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string, string> BadInput => new()
    {
        { "run --tokens 0", "--tokens is '0'" },
        { "run --tokens x", "--tokens is 'x'" },
        { "run --tokens 18", "17 tokens" },
        { "run --layer 99", "--layer 99" },
        { "run --seed -1", "--seed" },
        { "run --shape 1,2,3", "'1,2,3' is no shape" },
        { "run --shape 4,33,64,2", "multiple of 32" },
        { "run --shape 4,64,64,5", "top-k is 5" },
        { "run --shape gpt-oss-20b --layer 1", "--layer" },
        { "run --shape gpt-oss-20b --model x", "--model and --shape" },
        { "run --model /none.safetensors", "/none.safetensors" },
        { "run --model GOLDEN/../Cli.Tests.dll", "no safetensors file" },
        { "run --output-type f64", "bf16 or f32" },
        { "run --device gpu", "--device is 'gpu'" },
        { "run --plugins /none", "/none" },
        { "run --output /none/x.safetensors", "/none/x.safetensors" },
        { "run --frob", "--frob" },
        { "frob", "frob" },
        { "inspect", "inspect" },
        { "inspect /none", "/none" },
        { "backends --shape 0,0,0,0", "--shape" },
    };

    [Theory]
    [MemberData(nameof(BadInput))]
    public async Task Bad_input_is_named(string arguments, string word)
    {
        Cli result = await Cli.Run(arguments.Replace("GOLDEN", Path.Combine(AppContext.BaseDirectory, "golden"), StringComparison.Ordinal).Split(' '));
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains("error:", result.Error, StringComparison.Ordinal);
        Assert.Contains(word, result.Error, StringComparison.Ordinal);
        Assert.InRange(result.Error.Split('\n').Length, 1, 4);
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_backend_is_answered_with_the_ones_that_are_there()
    {
        Cli result = await Cli.Run("run", "--backend", "Cpux");
        Assert.Equal(ExitCode.NoBackend, result.ExitCode);
        Assert.Contains("Cpux", result.Error, StringComparison.Ordinal);
        Assert.Contains("Cpu", result.Error.Replace("Cpux", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Equal("", result.Output);
    }

    [Fact]
    public async Task A_folder_without_plugins_has_no_backend()
    {
        Cli result = await Cli.Run("run", "--plugins", _folder.Path);
        Assert.Equal(ExitCode.NoBackend, result.ExitCode);
    }

    [Fact]
    public async Task Help_is_no_error()
    {
        Cli result = await Cli.Run("run", "--help");
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("moe run", result.Output, StringComparison.Ordinal);
        Assert.Equal(0, (await Cli.Run()).ExitCode);
    }

    public void Dispose() => _folder.Dispose();
}
