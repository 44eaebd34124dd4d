namespace Moe.Plugins.Packages.Tests;

/// <summary>`moe`, installed from its package.</summary>
public sealed class ToolTests(PackedPackages packages)
{
    private const string Name = "Contoso.Try1";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task It_finds_its_backends_and_runs_its_sample()
    {
        string folder = await packages.MakeFolderAsync("tool-elsewhere");

        OtherProgram backends = await OtherProgram.RunAsync(packages.Tool, folder, ["backends"], Token);
        Assert.True(backends.ExitCode == 0, backends.Output);
        Assert.All(["Bf16", "Collectives.Cuda", "Cpu", "Mxfp4.Marlin", "Mxfp4.Sm100"], id => Assert.Contains(id, backends.Output, StringComparison.Ordinal));

        OtherProgram run = await OtherProgram.RunAsync(packages.Tool, folder, ["run"], Token);
        Assert.True(run.ExitCode == 0, run.Output);
        Assert.Contains("right:", run.Output, StringComparison.Ordinal);
        Assert.Contains("within the backend's", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_new_backend_builds_from_packages_loads_and_keeps_every_rule()
    {
        string folder = await packages.MakeCleanFolderAsync("new");
        packages.UnpackEmpty("new", "Moe.Plugins.Abstractions");
        string project = Path.Combine(folder, "try");
        OtherProgram made = await OtherProgram.RunAsync(packages.Tool, folder, ["new", Name, "--output", project], Token);
        Assert.True(made.ExitCode == 0, made.Output);

        // With nothing but what came with the tool.
        string tests = await OtherProgram.DotnetAsync(project, Token, "test");
        Assert.Contains("failed: 0", tests, StringComparison.Ordinal);
        Assert.Contains("succeeded: 37", tests, StringComparison.Ordinal);

        string plugin = Path.Combine(project, "plugins", Name, $"{Name}.dll");
        Assert.True(File.Exists(plugin));
        Assert.False(File.Exists(Path.Combine(project, "plugins", Name, "Moe.Plugins.Abstractions.dll")), "the contract is the host's");

        OtherProgram verified = await OtherProgram.RunAsync(packages.Tool, project, ["verify", plugin], Token);
        Assert.True(verified.ExitCode == 0, verified.Output);
        Assert.Contains("38 passed, 20 not supported", verified.Output, StringComparison.Ordinal);
    }

    /// <summary>Of what the kernels do there is nothing to build from packages: Template.Tests runs the same files.</summary>
    [Fact]
    public async Task A_new_CUDA_backend_builds_from_packages_and_its_kernel_runs_without_a_GPU()
    {
        string folder = await packages.MakeCleanFolderAsync("new-cuda");
        string project = Path.Combine(folder, "try");
        OtherProgram made = await OtherProgram.RunAsync(packages.Tool, folder, ["new", Name, "--cuda", "--output", project], Token);
        Assert.True(made.ExitCode == 0, made.Output);

        await OtherProgram.DotnetAsync(project, Token, "build");
        string tests = Path.Combine(project, "tests", $"{Name}.Tests", "bin", "Debug", "net10.0", $"{Name}.Tests.dll");
        string outcome = await OtherProgram.DotnetAsync(project, Token, tests, "--filter-class", "*KernelTests");
        Assert.Contains("failed: 0", outcome, StringComparison.Ordinal);

        OtherProgram backends = await OtherProgram.RunAsync(packages.Tool, project, ["backends", "--plugins", "plugins"], Token);
        Assert.Contains(Name, backends.Output, StringComparison.Ordinal);
        string[] files = [.. Directory.GetFiles(Path.Combine(project, "plugins", Name), "*.dll").Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal)];
        Assert.Equal([$"{Name}.dll", "Moe.Plugins.Cuda.dll", "Moe.Plugins.Kernels.dll"], files);
    }

    [Theory]
    [InlineData("Kernel.cs")]
    [InlineData("kernels/product.cu", "--cuda")]
    public async Task The_package_of_templates_makes_the_same_files(string kernel, params string[] options)
    {
        string folder = await packages.MakeFolderAsync($"templates{options.Length}");
        string[] hive = ["--debug:custom-hive", Path.Combine(folder, "hive")];
        await OtherProgram.DotnetAsync(folder, Token, ["new", "install", packages.PackageFile("Moe.Plugins.Templates"), .. hive]);

        await OtherProgram.DotnetAsync(folder, Token, ["new", "moe-backend", "-n", Name, "-o", Path.Combine(folder, "one"), .. options, .. hive]);
        OtherProgram made = await OtherProgram.RunAsync(packages.Tool, folder, ["new", Name, "--output", Path.Combine(folder, "two"), .. options], Token);

        Assert.True(made.ExitCode == 0, made.Output);
        Dictionary<string, string> one = Files(Path.Combine(folder, "one"));
        Assert.Equal(one, Files(Path.Combine(folder, "two")));
        Assert.Contains(Path.Combine("src", Name, kernel), one.Keys);
    }

    private static Dictionary<string, string> Files(string folder) => Directory
        .EnumerateFiles(folder, "*", SearchOption.AllDirectories)
        .ToDictionary(file => Path.GetRelativePath(folder, file), File.ReadAllText);
}
