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
        LinkOthers();
        string config = Path.Combine(_root, "nuget.config");
        await File.WriteAllTextAsync(config, Sources(restored: "restored", Folder));
        await OtherProgram.DotnetAsync(
            _root, CancellationToken.None, "tool", "install", "Moe.Plugins.Cli", "--tool-path", Path.Combine(_root, "tool"), "--configfile", config);
    }

    /// <summary>A package's file.</summary>
    public string PackageFile(string id) => Directory.GetFiles(Folder, $"{id}.*.nupkg").Single(file => char.IsAsciiDigit(Path.GetFileName(file)[id.Length + 1]));

    /// <summary>A new folder whose projects restore from the packages.</summary>
    public Task<string> MakeFolderAsync(string name) => MakeFolderAsync(name, Sources(restored: "restored", Folder));

    /// <summary>A new folder where nobody knows of the packages.</summary>
    public Task<string> MakeCleanFolderAsync(string name) => MakeFolderAsync(name, Sources(restored: $"restored-{name}"));

    /// <summary>Puts a package with nothing in it where projects of a clean folder would find that version unpacked already, as another build's may be.</summary>
    public void UnpackEmpty(string name, string id)
    {
        string version = Path.GetFileNameWithoutExtension(PackageFile(id))[(id.Length + 1)..];
        string folder = Directory.CreateDirectory(Path.Combine(_root, $"restored-{name}", id.ToLowerInvariant(), version)).FullName;
        string file = Path.Combine(folder, $"{id.ToLowerInvariant()}.");
        File.WriteAllText(file + "nuspec", $"""
            <package>
              <metadata><id>{id}</id><version>{version}</version><authors>another</authors><description>Another build of the same version.</description></metadata>
            </package>
            """);
        File.WriteAllText(file + $"{version}.nupkg.sha512", "");
        File.WriteAllText(Path.Combine(folder, ".nupkg.metadata"), """{ "version": 2, "contentHash": "", "source": "another" }""");
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

    /// <summary>
    /// The packages of this run beside those of others that the user has, which is where `dotnet add package` finds the newest version of one, and
    /// a folder for what is restored, so that nothing of it stays.
    /// </summary>
    private string Sources(string restored, params string[] folders) => $"""
        <configuration>
          <config><add key="globalPackagesFolder" value="{Path.Combine(_root, restored)}" /></config>
          <packageSources><clear />{string.Concat(folders.Append(Others).Select(folder => $"<add key=\"{Path.GetFileName(folder)}\" value=\"{folder}\" />"))}</packageSources>
          <fallbackPackageFolders><add key="cache" value="{Others}" /></fallbackPackageFolders>
        </configuration>
        """;

    private async Task<string> MakeFolderAsync(string name, string sources)
    {
        string folder = Directory.CreateDirectory(Path.Combine(_root, name)).FullName;
        await File.WriteAllTextAsync(Path.Combine(folder, "nuget.config"), sources);
        return folder;
    }

    private static string UserPackages => Environment.GetEnvironmentVariable(OtherProgram.PackagesVariable)
        ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");

    /// <summary>
    /// The user's packages but for what has the name of one of these: an older one of the same version would be taken instead. On Windows, where
    /// links take a right that not every user has, all of them.
    /// </summary>
    private string Others => OperatingSystem.IsWindows() ? UserPackages : Path.Combine(_root, "others");

    private void LinkOthers()
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        Directory.CreateDirectory(Others);
        foreach (string package in Directory.GetDirectories(UserPackages))
        {
            string name = Path.GetFileName(package);
            if (!name.StartsWith("moe.plugins", StringComparison.OrdinalIgnoreCase))
            {
                Directory.CreateSymbolicLink(Path.Combine(Others, name), package);
            }
        }
    }
}
