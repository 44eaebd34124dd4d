namespace Moe.Plugins;

/// <summary>Resolves every link of a path, as realpath(3) does; a link anywhere in it could lead out of a folder that its text is in.</summary>
internal static class RealPath
{
    /// <summary>Links on the way before a path is given up as a circle, as Linux does (path_resolution(7)).</summary>
    private const int MaxLinks = 40;

    /// <param name="path">The path.</param>
    /// <param name="check">
    /// Shown each part from the root on, a link before it is followed: what others cannot change above a part cannot be changed between this check
    /// and a later use.
    /// </param>
    /// <exception cref="MoeException">The links go in a circle.</exception>
    public static string Of(string path, Action<string>? check = null)
    {
        string full = Path.GetFullPath(path);
        string current = Path.GetPathRoot(full)!;
        var left = new Stack<string>();
        Push(left, full[current.Length..]);
        int links = 0;
        check?.Invoke(current);
        while (left.TryPop(out string? name))
        {
            if (name == "..")
            {
                current = Path.GetDirectoryName(current) ?? current;
                continue;
            }

            string next = Path.Combine(current, name);
            check?.Invoke(next);
            if (new DirectoryInfo(next).LinkTarget is not { } target)
            {
                current = next;
                continue;
            }

            if (++links > MaxLinks)
            {
                throw new MoeException(MoeReason.Trust, $"The links of {path} go in a circle.");
            }

            string root = Path.IsPathRooted(target) ? Path.GetPathRoot(target)! : "";
            current = root.Length == 0 ? current : root;
            Push(left, target[root.Length..]);
        }

        return current;
    }

    /// <summary>Whether a path without links is a folder's own, or lies in it.</summary>
    public static bool IsWithin(string path, string folder) =>
        path == folder || path.StartsWith(folder.TrimEnd(Path.DirectorySeparatorChar) + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    private static void Push(Stack<string> names, string path)
    {
        char[] separators = [Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar];
        foreach (string name in path.Split(separators, StringSplitOptions.RemoveEmptyEntries).Where(static n => n != ".").Reverse())
        {
            names.Push(name);
        }
    }
}
