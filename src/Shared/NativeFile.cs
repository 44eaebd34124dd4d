using System.Runtime.InteropServices;

namespace Moe.Plugins;

/// <summary>Loads native libraries, and says of each that cannot be loaded what is wrong with it.</summary>
internal static class NativeFile
{
    private const int NoSuchFile = 2;

    /// <summary>Loads a library.</summary>
    /// <param name="name">Its file, or its name in the system's library search.</param>
    /// <param name="isFile">Whether it is a file. Then it is looked at before: opening a pipe waits, and opening a device does things.</param>
    /// <param name="needed">Names of calls; a library without one of them is another one.</param>
    /// <param name="handle">The library.</param>
    /// <returns>What is wrong, as it follows the library's name in a sentence; empty where the search finds nothing, null where the library is loaded.</returns>
    public static string? Load(string name, bool isFile, IEnumerable<string> needed, out nint handle)
    {
        handle = 0;
        FileKind kind = isFile ? FileKinds.Of(name, followLinks: true) : FileKind.Regular;
        if (kind != FileKind.Regular)
        {
            return kind == FileKind.Nothing ? "does not exist" : $"is {kind.Describe()}, and a library is expected";
        }

        try
        {
            // The loader looks for what has no slash in its search path, whatever stands in the current folder.
            handle = NativeLibrary.Load(isFile ? Path.GetFullPath(name) : name);
        }
        catch (Exception exception) when (exception is DllNotFoundException or BadImageFormatException)
        {
            string why = WhyOf(exception.Message);
            bool isMissing = !isFile && why.StartsWith(name, StringComparison.Ordinal) && why.EndsWith(Marshal.GetPInvokeErrorMessage(NoSuchFile), StringComparison.Ordinal);
            return isMissing ? "" : $"is no library that can be loaded here ({why})";
        }

        nint loaded = handle;
        if (needed.FirstOrDefault(call => !NativeLibrary.TryGetExport(loaded, call, out _)) is { } missing)
        {
            NativeLibrary.Free(handle);
            handle = 0;
            return $"is another library, or one that is too old: it has no {missing}";
        }

        return null;
    }

    // The runtime advises first, and then quotes the loader (dlerror(3)), in lines of its own.
    private static string WhyOf(string message)
    {
        string[] lines = message.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return lines[^1].TrimEnd('.');
    }
}
