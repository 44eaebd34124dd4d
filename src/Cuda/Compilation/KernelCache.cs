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
    /// Makes the folder for its owner alone; says what is wrong with one that others may write to, as their code would run.
    /// </summary>
    internal static string? Prepare(string folder)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder);
            return null;
        }

        Directory.CreateDirectory(folder, OwnerOnly);
        UnixFileMode mode = File.GetUnixFileMode(folder);
        return (mode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) == 0
            ? null
            : $"the kernel cache '{folder}' may be written to by others than its owner, who could put code there: its mode must be 700.";
    }

    private static bool TryReadFile(string file, KernelImageOrigin origin, [NotNullWhen(true)] out KernelImage? image)
    {
        image = null;
        try
        {
            return File.Exists(file) && KernelCacheEntry.TryRead(File.ReadAllBytes(file), origin, out image);
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
