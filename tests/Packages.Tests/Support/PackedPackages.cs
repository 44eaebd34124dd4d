[assembly: AssemblyFixture(typeof(Moe.Plugins.Packages.Tests.PackedPackages))]

namespace Moe.Plugins.Packages.Tests;

/// <summary>All packages of the repository, packed once for all tests, and a place where others restore from them.</summary>
public sealed class PackedPackages : IAsyncLifetime
{
    private string _root = "";

    /// <summary>Where the packages are.</summary>
    public string Folder => Path.Combine(_root, "packages");

    /// <summary>The tool, installed from its package.</summary>
    public string Tool => Path.Combine(_root, "tool", "moe");

    /// <summary>Packs, and installs the tool.</summary>
    public async ValueTask InitializeAsync()
    {
        _root = Directory.CreateTempSubdirectory("moe-packages-").FullName;
        await PackAsync(Repository.Root, Folder);
        string config = Path.Combine(_root, "nuget.config");
        await File.WriteAllTextAsync(config, Sources);
        await OtherProgram.DotnetAsync(
            _root, CancellationToken.None, "tool", "install", "Moe.Plugins.Cli", "--tool-path", Path.Combine(_root, "tool"), "--configfile", config);
    }

    /// <summary>A package's file.</summary>
    public string PackageFile(string id) => Directory.GetFiles(Folder, $"{id}.*.nupkg").Single(file => char.IsAsciiDigit(Path.GetFileName(file)[id.Length + 1]));

    /// <summary>A new folder whose projects restore from the packages.</summary>
    public async Task<string> MakeFolderAsync(string name)
    {
        string folder = Directory.CreateDirectory(Path.Combine(_root, name)).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "nuget.config"), Sources);
        return folder;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        Directory.Delete(_root, recursive: true);
        return ValueTask.CompletedTask;
    }

    /// <summary>Packs what was built.</summary>
    internal static Task<string> PackAsync(string what, string target) => OtherProgram.DotnetAsync(
        Repository.Root, CancellationToken.None, "pack", what, "-c", Repository.Configuration, "--no-build", "-o", target, "-v", "q");

    /// <summary>The packages of this run beside those of the user, and a folder for what is restored, so that nothing of it stays.</summary>
    private string Sources => $"""
        <configuration>
          <config><add key="globalPackagesFolder" value="{Path.Combine(_root, "restored")}" /></config>
          <packageSources><add key="packed" value="{Folder}" /></packageSources>
          <fallbackPackageFolders><add key="cache" value="{UserPackages}" /></fallbackPackageFolders>
        </configuration>
        """;

    private static string UserPackages => Environment.GetEnvironmentVariable("NUGET_PACKAGES")
        ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
}
