namespace Moe.Plugins.Cli;

/// <summary>What a new backend may be called: one name is its namespace, its assembly, its folder and its id.</summary>
internal static class BackendName
{
    // Folders, files and the build's own files repeat it, and a path on Windows holds 260 characters.
    private const int MaxLength = 64;

    private const string Own = "Moe.Plugins";

    // C# 14, §6.4.4: these are no identifiers.
    private const string Keywords =
        " abstract as base bool break byte case catch char checked class const continue decimal default delegate do double else enum event explicit "
        + "extern false finally fixed float for foreach goto if implicit in int interface internal is lock long namespace new null object operator out "
        + "override params private protected public readonly ref return sbyte sealed short sizeof stackalloc static string struct switch this throw "
        + "true try typeof uint ulong unchecked unsafe ushort using virtual void volatile while ";

    // Windows takes a file of such a name, with any extension, for a device.
    private static readonly string[] Devices =
        ["con", "prn", "aux", "nul", .. Enumerable.Range(0, 10).SelectMany(static i => new[] { $"com{i}", $"lpt{i}" })];

    /// <summary>What is wrong with a name, as the end of a sentence that begins with it; null where nothing is.</summary>
    public static string? Describe(string name)
    {
        string[] parts = name.Split('.');
        if (!parts.All(part => part.Length > 0 && char.IsAsciiLetter(part[0]) && part.All(c => char.IsAsciiLetterOrDigit(c) || c == '_')))
        {
            return "is not a backend's name; a namespace such as Contoso.MyBackend is expected.";
        }

        if (parts.FirstOrDefault(part => Keywords.Contains($" {part} ", StringComparison.Ordinal)) is { } keyword)
        {
            return $"has the C# keyword '{keyword}' in it, which cannot be part of a namespace.";
        }

        if (Devices.Contains(parts[0], StringComparer.OrdinalIgnoreCase))
        {
            return $"begins with '{parts[0]}', which is a device on Windows and no folder can be called.";
        }

        if (name.Length > MaxLength)
        {
            return $"has {name.Length} characters; at most {MaxLength} are expected, since paths repeat it.";
        }

        return name.Equals(MoeOptions.Auto, StringComparison.OrdinalIgnoreCase) || ShippedBackends().Contains(name, StringComparer.OrdinalIgnoreCase) || IsOwn(name)
            ? "is taken: that is what Moe.Plugins itself calls a backend or a setting; a name of your own such as Contoso.MyBackend is expected."
            : null;
    }

    // Its assembly would be one of those that it references, or stand in their namespaces.
    private static bool IsOwn(string name) =>
        name.Equals(Own, StringComparison.OrdinalIgnoreCase) || name.StartsWith(Own + ".", StringComparison.OrdinalIgnoreCase);

    // Those that came with this program.
    private static IEnumerable<string?> ShippedBackends()
    {
        string folder = Path.Combine(AppContext.BaseDirectory, "plugins");
        return Directory.Exists(folder) ? Directory.EnumerateDirectories(folder).Select(Path.GetFileName) : [];
    }
}
