using System.Reflection;
using System.Text.RegularExpressions;

namespace Moe.Plugins.Cuda;

/// <summary>A file of kernels and what it includes: self-contained CUDA C++, as NVRTC knows no system headers. Immutable.</summary>
public sealed partial class KernelSource
{
    private KernelSource(string name, string text, IReadOnlyList<KernelHeader> headers)
    {
        Name = name;
        Text = text;
        Headers = headers;
    }

    /// <summary>The file's name, as error messages give it.</summary>
    public string Name { get; }

    /// <summary>The file's text.</summary>
    public string Text { get; }

    /// <summary>What the file includes, directly or not, by name; nothing else is compiled in or counts for the cache.</summary>
    public IReadOnlyList<KernelHeader> Headers { get; }

    /// <summary>Makes a source from text.</summary>
    /// <param name="name">The file's name, for error messages.</param>
    /// <param name="text">The text.</param>
    /// <param name="headers">What it may include; those that it does not are left out.</param>
    public static KernelSource FromText(string name, string text, params IEnumerable<KernelHeader> headers)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(headers);
        KernelHeader[] given = [.. headers];
        ArgumentCheck.ThrowIfAnyNull(given, nameof(headers));
        foreach (KernelHeader header in given)
        {
            ArgumentException.ThrowIfNullOrWhiteSpace(header.Name, $"{nameof(headers)}.{nameof(header.Name)}");
            ArgumentNullException.ThrowIfNull(header.Text, $"{nameof(headers)}.{nameof(header.Text)}");
        }

        Dictionary<string, string> offered = given.ToDictionary(header => header.Name, header => header.Text, StringComparer.Ordinal);
        return new KernelSource(name, text, FindHeaders(text, offered.GetValueOrDefault));
    }

    /// <summary>
    /// Reads a source and what it includes from embedded resources. A file is the resource that is named like it, or whose
    /// name ends in the file's after a dot or a slash, as the build names them.
    /// </summary>
    /// <param name="name">The file's name, such as <c>router.cu</c>.</param>
    /// <param name="assemblies">The assemblies to look in, in order: the first that has a file gives it.</param>
    /// <exception cref="FileNotFoundException">No assembly has the file.</exception>
    public static KernelSource FromResources(string name, params IReadOnlyList<Assembly> assemblies)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentCheck.ThrowIfAnyNull(assemblies);
        string? Read(string file) => assemblies.Select(assembly => ReadResource(assembly, file)).FirstOrDefault(text => text is not null);
        string text = Read(name) ?? throw new FileNotFoundException(
            $"No resource '{name}' is embedded in {string.Join(" or ", assemblies.Select(assembly => assembly.GetName().Name))}.", name);
        return new KernelSource(name, text, FindHeaders(text, Read));
    }

    // A header that is nowhere is left to NVRTC: it knows whether the line is live, and names file and line.
    private static KernelHeader[] FindHeaders(string text, Func<string, string?> read)
    {
        SortedDictionary<string, KernelHeader> found = new(StringComparer.Ordinal);
        Stack<string> unread = new([text]);
        while (unread.TryPop(out string? next))
        {
            foreach (Match match in IncludeLine().Matches(next))
            {
                string name = match.Groups["name"].Value;
                if (!found.ContainsKey(name) && read(name) is string header)
                {
                    found.Add(name, new KernelHeader(name, header));
                    unread.Push(header);
                }
            }
        }

        return [.. found.Values];
    }

    private static string? ReadResource(Assembly assembly, string file)
    {
        string[] matches = [.. assembly.GetManifestResourceNames().Where(resource => IsNamed(resource, file))];
        if (matches.Length > 1)
        {
            throw new InvalidOperationException(
                $"'{file}' could be any of {string.Join(", ", matches)} in {assembly.GetName().Name}: give them different names.");
        }

        if (matches.Length == 0)
        {
            return null;
        }

        using StreamReader reader = new(assembly.GetManifestResourceStream(matches[0])!);
        return reader.ReadToEnd();
    }

    private static bool IsNamed(string resource, string file) =>
        resource.EndsWith(file, StringComparison.Ordinal)
        && (resource.Length == file.Length || resource[resource.Length - file.Length - 1] is '.' or '/' or '\\');

    [GeneratedRegex("""^[ \t]*#[ \t]*include[ \t]*["<](?<name>[^">]+)[">]""", RegexOptions.Multiline | RegexOptions.CultureInvariant)]
    private static partial Regex IncludeLine();
}
