namespace Moe.Plugins.Cli.Tests;

/// <summary>The repository that the tests were built from.</summary>
internal static class Repository
{
    /// <summary>Its root: the first folder above the tests' program that has the solution.</summary>
    public static string Root { get; } = Find();

    // Not by the path of this source file: a deterministic build writes another one into the assembly.
    private static string Find()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Moe.Plugins.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException($"No repository is above {AppContext.BaseDirectory}.");
    }
}
