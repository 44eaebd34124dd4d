using System.Diagnostics.CodeAnalysis;

namespace Moe.Plugins.Cuda;

/// <summary>
/// A folder of compiled sources, <c>REQUEST.nvrtcMAJOR.MINOR.cubin</c> each, where REQUEST is the hash of all that was asked for.
/// The compiler's version is in the name and not in the hash, so that a folder can be read without a compiler: then the
/// newest version's entry counts. A folder of prebuilt kernels is so a cache folder, copied.
/// </summary>
internal static class KernelCache
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    internal static bool TryRead(string folder, string request, Version version, [NotNullWhen(true)] out KernelImage? image) =>
        TryReadFile(Path.Combine(folder, FileName(request, version)), KernelImageOrigin.Cache, out image);

    internal static bool TryReadNewest(string folder, string request, [NotNullWhen(true)] out KernelImage? image)
    {
        image = null;
        if (!Directory.Exists(folder))
        {
            return false;
        }

        IEnumerable<string> files = Directory.EnumerateFiles(folder, $"{request}.nvrtc*.cubin").OrderByDescending(VersionOf);
        foreach (string file in files)
        {
            if (TryReadFile(file, KernelImageOrigin.Prebuilt, out image))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Writes beside and renames: a reader sees a whole entry or none, and of two writers the last wins with the same bytes.
    /// </summary>
    internal static void Write(string folder, string request, Version version, KernelImage image)
    {
        string temporary = Path.Combine(folder, $"{request}.{Guid.NewGuid():n}.tmp");
        try
        {
            File.WriteAllBytes(temporary, KernelCacheEntry.Write(image));
            File.Move(temporary, Path.Combine(folder, FileName(request, version)), overwrite: true);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            File.Delete(temporary);
            throw;
        }
    }

    /// <summary>
    /// Makes the folder for its owner alone; says what is wrong with one that is another user's or that others may write to, as their code would run.
    /// </summary>
    internal static string? Prepare(string folder)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder);
            return null;
        }

        Directory.CreateDirectory(folder, OwnerOnly);
        return DescribeDanger(folder, followLinks: true) is { } danger
            ? $"the kernel cache '{folder}' {danger}, who could put code there: it must be this user's own, and its mode must be 700."
            : null;
    }

    /// <summary>Whose a folder or an entry may be, a cubin being code: root's or this user's, with no permission to write for others.</summary>
    private static string? DescribeDanger(string path, bool followLinks)
    {
        UnixFile? known = UnixFile.TryGet(path, followLinks);
        if (known is { } file && file.Owner != 0 && file.Owner != UnixFile.CurrentUser())
        {
            return $"belongs to user {file.Owner}";
        }

        UnixFileMode mode = known?.Permissions ?? (OperatingSystem.IsWindows() ? UnixFileMode.None : File.GetUnixFileMode(path));
        return (mode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) == 0 ? null : "may be written to by others than its owner";
    }

    private static bool TryReadFile(string file, KernelImageOrigin origin, [NotNullWhen(true)] out KernelImage? image)
    {
        image = null;
        try
        {
            // Whose a folder of prebuilt kernels is, whoever names it has looked at; the user's own may have been written before it was safe.
            return FileKinds.Of(file, followLinks: true) == FileKind.Regular
                && (origin == KernelImageOrigin.Prebuilt || DescribeDanger(file, followLinks: false) is null)
                && KernelCacheEntry.TryRead(File.ReadAllBytes(file), origin, out image);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static string FileName(string request, Version version) => $"{request}.nvrtc{version}.cubin";

    private static Version VersionOf(string file)
    {
        string name = Path.GetFileNameWithoutExtension(file);
        return Version.TryParse(name.AsSpan(name.IndexOf(".nvrtc", StringComparison.Ordinal) + ".nvrtc".Length), out Version? version)
            ? version
            : new Version();
    }
}
