using System.Diagnostics;
using System.Reflection;

namespace Moe.Plugins.Cli.Tests;

public sealed class NewTests
{
    private const string Name = "Contoso.Try1";

    /// <summary>Everything that the template's projects take from packages of this repository, and what those need in turn.</summary>
    private static readonly string[] Packages = ["Abstractions", "Conformance", "Conformance.Xunit"];

    [Fact]
    public async Task A_new_backend_builds_from_packages_loads_and_keeps_every_rule()
    {
        using var folder = new TemporaryFolder();
        string project = Path.Combine(folder.Path, "try");

        Cli made = await Cli.Run("new", Name, "--output", project);

        Assert.Equal(0, made.ExitCode);
        await PackAsync(Path.Combine(folder.Path, "packages"));
        await File.WriteAllTextAsync(Path.Combine(project, "nuget.config"), Sources(folder.Path), TestContext.Current.CancellationToken);
        await DotnetAsync(project, "build", Path.Combine("tests", $"{Name}.Tests"), "-v", "q");
        string plugin = Path.Combine(project, "plugins", Name, $"{Name}.dll");
        Assert.True(File.Exists(plugin));
        Assert.False(File.Exists(Path.Combine(project, "plugins", Name, "Moe.Plugins.Abstractions.dll")), "the contract is the host's");

        Cli verified = await Cli.Run("verify", plugin);
        Assert.True(verified.ExitCode == 0, verified.Output + verified.Error);
        Assert.Contains("31 passed, 3 not supported", verified.Output, StringComparison.Ordinal);

        string tests = await DotnetAsync(project, "run", "--no-build", "--project", Path.Combine("tests", $"{Name}.Tests"));
        Assert.Contains("failed: 0", tests, StringComparison.Ordinal);
        Assert.Contains("succeeded: 30", tests, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_package_of_templates_makes_the_same_files()
    {
        using var folder = new TemporaryFolder();
        string packages = Path.Combine(folder.Path, "packages");
        string[] hive = ["--debug:custom-hive", Path.Combine(folder.Path, "hive")];
        await DotnetAsync(Repository.Root, "pack", "templates", "-o", packages, "-v", "q");
        await DotnetAsync(folder.Path, ["new", "install", Directory.GetFiles(packages).Single(), .. hive]);

        await DotnetAsync(folder.Path, ["new", "moe-backend", "-n", Name, "-o", Path.Combine(folder.Path, "one"), .. hive]);
        Cli made = await Cli.Run("new", Name, "--output", Path.Combine(folder.Path, "two"));

        Assert.Equal(0, made.ExitCode);
        Dictionary<string, string> one = Files(Path.Combine(folder.Path, "one"));
        Assert.Equal(one, Files(Path.Combine(folder.Path, "two")));
        Assert.Contains(Path.Combine("src", Name, "Kernel.cs"), one.Keys);
    }

    [Theory]
    [InlineData("1st")]
    [InlineData("Contoso.My-Backend")]
    [InlineData("a..b")]
    public async Task A_name_that_no_namespace_can_have_is_refused(string name)
    {
        Cli result = await Cli.Run("new", name, "--output", Path.Combine(Path.GetTempPath(), Path.GetRandomFileName()));

        Assert.Equal(2, result.ExitCode);
        Assert.Contains($"'{name}' is no name of a backend", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_is_written_over()
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(Path.Combine(folder.Path, "mine.txt"), "mine", TestContext.Current.CancellationToken);

        Cli result = await Cli.Run("new", Name, "--output", folder.Path);

        Assert.Equal(2, result.ExitCode);
        Assert.Contains("is not empty", result.Error, StringComparison.Ordinal);
        Assert.Single(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Fact]
    public void The_template_names_the_version_that_is_built_here()
    {
        string version = typeof(MoeHost).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

        string properties = File.ReadAllText(Path.Combine(Repository.Root, "templates", "moe-backend", "Directory.Build.props"));

        Assert.Contains($"<MoePluginsVersion>{version}</MoePluginsVersion>", properties, StringComparison.Ordinal);
    }

    private static Dictionary<string, string> Files(string folder) => Directory
        .EnumerateFiles(folder, "*", SearchOption.AllDirectories)
        .ToDictionary(file => Path.GetRelativePath(folder, file), File.ReadAllText);

    private static async Task PackAsync(string target)
    {
        foreach (string package in Packages)
        {
            await DotnetAsync(Repository.Root, "pack", Path.Combine("src", package), "-c", Configuration, "--no-build", "-o", target, "-v", "q");
        }
    }

    /// <summary>The packages of this run before those of the user, and a folder for what is restored, so that nothing of it stays.</summary>
    private static string Sources(string folder) => $"""
        <configuration>
          <config><add key="globalPackagesFolder" value="{Path.Combine(folder, "restored")}" /></config>
          <packageSources><add key="packed" value="{Path.Combine(folder, "packages")}" /></packageSources>
          <fallbackPackageFolders><add key="cache" value="{UserPackages}" /></fallbackPackageFolders>
        </configuration>
        """;

    private static string UserPackages => Environment.GetEnvironmentVariable("NUGET_PACKAGES")
        ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");

    private static string Configuration => AppContext.BaseDirectory.Contains($"{Path.DirectorySeparatorChar}Release{Path.DirectorySeparatorChar}", StringComparison.Ordinal)
        ? "Release"
        : "Debug";

    private static async Task<string> DotnetAsync(string folder, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };

        // What the test runner was started with is not meant for other programs.
        foreach (string name in start.Environment.Keys.Where(name => name.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)).ToArray())
        {
            start.Environment.Remove(name);
        }

        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Task<string> error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"dotnet {string.Join(' ', arguments)}: {await output}{await error}");
        return await output;
    }
}
