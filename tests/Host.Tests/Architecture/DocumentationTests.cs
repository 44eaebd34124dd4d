using System.Text.RegularExpressions;

namespace Moe.Plugins.Tests;

/// <summary>The documentation leads where it says, and its first page stays one that is read.</summary>
public sealed partial class DocumentationTests
{
    private const int MaxReadmeLines = 200;

    private static readonly string[] Folders = ["", ".github", "docs", "bench", "samples"];

    [Fact]
    public void Every_link_to_a_file_and_to_a_heading_leads_somewhere()
    {
        var wrong = new List<string>();
        foreach (string file in Files())
        {
            foreach (Match link in Link().Matches(File.ReadAllText(file)).Where(link => !link.Groups[1].Value.Contains("://", StringComparison.Ordinal)))
            {
                string[] parts = link.Groups[1].Value.Split('#');
                string target = parts[0].Length == 0 ? file : Path.GetFullPath(parts[0], Path.GetDirectoryName(file)!);
                bool isThere = File.Exists(target) || (parts.Length == 1 && Directory.Exists(target));
                if (!isThere || (parts.Length > 1 && !Headings(target).Contains(parts[1])))
                {
                    wrong.Add($"{Path.GetRelativePath(ArchitectureTests.Root, file)}: {link.Groups[1].Value}");
                }
            }
        }

        Assert.Empty(wrong);
    }

    [Fact]
    public void Every_page_is_in_the_index()
    {
        string docs = Path.Combine(ArchitectureTests.Root, "docs");
        string index = File.ReadAllText(Path.Combine(docs, "README.md"));

        Assert.All(
            Directory.GetFiles(docs, "*.md").Select(Path.GetFileName).Where(name => name != "README.md"),
            name => Assert.Contains($"]({name})", index, StringComparison.Ordinal));
    }

    [Fact]
    public void The_readme_is_short() => Assert.InRange(File.ReadAllLines(Path.Combine(ArchitectureTests.Root, "README.md")).Length, 1, MaxReadmeLines);

    private static string[] Files()
    {
        string[] files = [.. Folders.Select(folder => Path.Combine(ArchitectureTests.Root, folder)).Where(Directory.Exists).SelectMany(folder => Directory.GetFiles(folder, "*.md"))];
        Assert.Contains(files, file => file.EndsWith("README.md", StringComparison.Ordinal));
        return files;
    }

    // As GitHub makes a heading's anchor: lower case, without punctuation, dashes for spaces.
    private static IEnumerable<string> Headings(string file) => File.ReadAllLines(file)
        .Where(line => line.StartsWith('#'))
        .Select(line => NoAnchor().Replace(line.TrimStart('#').Trim().ToLowerInvariant(), "").Replace(' ', '-'));

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"[^\p{L}\p{N} _-]")]
    private static partial Regex NoAnchor();
}
