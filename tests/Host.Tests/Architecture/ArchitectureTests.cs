using System.Xml.Linq;

namespace Moe.Plugins.Tests;

/// <summary>The arrows of docs/design.md, read from every project file.</summary>
public sealed class ArchitectureTests
{
    internal static string Root { get; } = FindRoot();

    // It has no code: which backend it brings is a fact of packaging.
    private static readonly string MetaPackage = Path.Combine(Root, "src/Moe.Plugins/Moe.Plugins.csproj");

    // What a project under src/ may reference; arrows point down only.
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Abstractions"] = [],
        ["Host"] = ["Abstractions"],
        ["Loading"] = ["Host", "Trial"],
        ["Trial"] = [],
        ["Checkpoints"] = ["Abstractions"],
        ["Conformance"] = ["Abstractions"],
        ["Conformance.Xunit"] = ["Conformance"],
        ["Cuda"] = [],
        ["Kernels"] = ["Abstractions", "Cuda"],
        ["CpuKernels"] = ["Abstractions"],
        ["GptOss"] = ["Abstractions", "Checkpoints", "CpuKernels", "Host"],
        ["GptOss.Cuda"] = ["GptOss", "Kernels"],
        ["Cli"] = ["Abstractions", "Loading", "Checkpoints", "Conformance", "GptOss", "GptOss.Cuda"],
    };

    [Fact]
    public void No_project_references_a_plugin()
    {
        string[] wrong =
        [
            .. from project in Projects()
               where project != MetaPackage
               from reference in References(project)
               where IsUnder("plugins", reference)
               select $"{Path.GetRelativePath(Root, project)} -> {Path.GetRelativePath(Root, reference)}",
        ];
        Assert.Empty(wrong);
    }

    [Fact]
    public void The_contract_references_nothing()
    {
        string contract = Path.Combine(Root, "src/Abstractions/Moe.Plugins.Abstractions.csproj");
        Assert.Empty(References(contract));
        Assert.Empty(XDocument.Load(contract).Descendants("PackageReference"));
    }

    [Fact]
    public void Arrows_point_down()
    {
        var wrong = new List<string>();
        foreach (string project in Projects().Where(project => project != MetaPackage))
        {
            string[] allowed = IsUnder("plugins", project) ? ["Abstractions", "Cuda", "Kernels", "CpuKernels"]
                : IsUnder("src", project) ? Allowed.GetValueOrDefault(AreaOf(project), [])
                : [];
            if (IsUnder("plugins", project) || IsUnder("src", project))
            {
                wrong.AddRange(References(project)
                    .Where(reference => !IsUnder("src", reference) || !allowed.Contains(AreaOf(reference)))
                    .Select(reference => $"{AreaOf(project)} -> {Path.GetRelativePath(Root, reference)}"));
            }
        }

        Assert.Empty(wrong);
    }

    [Fact]
    public void One_file_knows_the_loading_library()
    {
        IEnumerable<string> files = Directory.EnumerateFiles(Path.Combine(Root, "src"), "*.cs", SearchOption.AllDirectories)
            .Where(file => File.ReadAllText(file).Contains("using McMaster", StringComparison.Ordinal));
        Assert.Equal(["McMasterPluginLoader.cs"], files.Select(Path.GetFileName));
    }

    private static string[] Projects()
    {
        string[] projects = Directory.GetFiles(Root, "*.csproj", SearchOption.AllDirectories);
        Assert.Contains(projects, p => p.EndsWith("Host.Tests.csproj", StringComparison.Ordinal));
        return projects;
    }

    // Inherited references count too: plugins get theirs from plugins/Directory.Build.props.
    private static IEnumerable<string> References(string project) =>
        from file in (string[])[project, .. Directory.GetFiles(Path.Combine(Path.GetDirectoryName(project)!, ".."), "Directory.Build.props")]
        from reference in XDocument.Load(file).Descendants("ProjectReference")
        select Path.GetFullPath(
            reference.Attribute("Include")!.Value.Replace('\\', '/').Replace("$(RepoRoot)", Root + "/", StringComparison.Ordinal),
            Path.GetDirectoryName(project)!);

    private static bool IsUnder(string area, string file) => file.StartsWith(Path.Combine(Root, area) + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    private static string AreaOf(string project) => Path.GetFileName(Path.GetDirectoryName(project)!);

    // Not by the path of this source file: a deterministic build writes another one into the assembly.
    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Moe.Plugins.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException($"No repository is above {AppContext.BaseDirectory}.");
    }
}
