namespace Moe.Plugins.Tests;

/// <summary>A drop folder of a test's own, which fixture plugins are put into, and a staging folder beside it.</summary>
internal sealed class DropFolder : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("moe-host-tests-").FullName;

    public string Root => _root;

    public string Plugins => Path.Combine(_root, "plugins");

    public string Staging => Path.Combine(_root, "staging");

    public MoeOptions Options => new()
    {
        PluginFolders = [Plugins],
        StagingFolder = Staging,
        ActivationTimeout = TimeSpan.FromSeconds(2),

        // Each folder is a new user's: every plugin would be tried anew. Those tests that are about it say so.
        Trial = MoeTrialMode.InProcess,
    };

    /// <summary>A folder that fixtures are built into.</summary>
    public static string FixtureOf(string name) => Path.Combine(AppContext.BaseDirectory, "fixtures", name);

    /// <summary>Where a plugin's main assembly is.</summary>
    public string MainAssemblyOf(string name) => Path.Combine(Plugins, name, name + ".dll");

    public DropFolder With(params string[] fixtures)
    {
        foreach (string fixture in fixtures)
        {
            WithFolder(FixtureOf(fixture));
        }

        return this;
    }

    /// <summary>Puts a plugin's folder in.</summary>
    public DropFolder WithFolder(string folder)
    {
        Copy(folder, Path.Combine(Plugins, Path.GetFileName(folder)));
        return this;
    }

    public DropFolder WithFile(string plugin, string file, byte[] content)
    {
        string path = Path.Combine(Plugins, plugin, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, content);
        return this;
    }

    public MoeHost Load() => MoeHost.Create(Options);

    public void Dispose()
    {
        // A plugin that never came back keeps its copy open; on Windows that copy cannot be deleted.
        try
        {
            Directory.Delete(_root, recursive: true);
        }
        catch (UnauthorizedAccessException)
        {
        }
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string file in Directory.GetFiles(from, "*", SearchOption.AllDirectories))
        {
            string target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);

            // Written anew, and not copied: a copy has its source's mode, which may let a group write.
            File.WriteAllBytes(target, File.ReadAllBytes(file));
        }
    }
}
