namespace Moe.Plugins;

/// <summary>What a plugin's folder holds: to be shown before it is trusted. Nothing of it was loaded or run.</summary>
public sealed record MoePluginFolder
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>The folder.</summary>
    public required string Path { get; init; }

    /// <summary>The id that its main assembly declares.</summary>
    public required string Id { get; init; }

    /// <summary>Its version.</summary>
    public required string Version { get; init; }

    /// <summary>The contract that it needs.</summary>
    public required string ContractVersion { get; init; }

    /// <summary>Bytes of all files.</summary>
    public required long ByteCount { get; init; }

    /// <summary>The SHA-256 of each file, by its path within the folder.</summary>
    public required IReadOnlyDictionary<string, string> Files { get; init; }

    /// <summary>Files that are no managed assemblies and hold code of the machine.</summary>
    public required IReadOnlyList<string> NativeLibraries { get; init; }

    /// <summary>Native libraries that its assemblies import, each after the assembly's name.</summary>
    public required IReadOnlyList<string> Imports { get; init; }

    /// <summary>Assemblies with code that runs as soon as one of their types is used.</summary>
    public required IReadOnlyList<string> ModuleInitializers { get; init; }

    /// <summary>Reads a folder without loading or running anything of it.</summary>
    /// <exception cref="MoeException">It is no plugin that this host could load.</exception>
    public static MoePluginFolder Read(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        return PluginFolderReader.Read(folder);
    }

    /// <summary>Pins the plugin in a lock file, which is made if there is none, in the place of what was pinned under its id.</summary>
    /// <param name="lockFile">The lock file; a signature that it has is no longer right afterwards.</param>
    /// <exception cref="MoeException">The lock file cannot be read or written, or lies in the plugin's folder.</exception>
    public void PinIn(string lockFile)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(lockFile);
        try
        {
            // A link is followed, not replaced.
            string file = RealPath.Of(lockFile);
            if (file.StartsWith(RealPath.Of(Path) + System.IO.Path.DirectorySeparatorChar, StringComparison.Ordinal))
            {
                throw new MoeException(
                    MoeReason.Configuration, $"{PlainText.Of(lockFile)} lies in the folder of the plugin, whose files it pins: a lock file belongs beside the program.");
            }

            FileLock turn = FileLock.Take(file + ".writing", Patience);
            try
            {
                // Of two that pin at once, the second reads what the first has written.
                PluginLock pins = System.IO.Path.Exists(file) ? PluginLock.Read(file) : new PluginLock();
                pins.Pin(new PluginPin(Id, Version, Files));

                // A host that reads it meanwhile sees the old one or the new one.
                WholeFile.Write(file, stream => stream.Write(pins.ToJson()));
            }
            finally
            {
                turn.Remove();
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"{PlainText.Of(lockFile)} cannot be written: {PlainText.Of(exception.Message)}", exception);
        }
    }
}
