namespace Moe.Plugins;

/// <summary>What stands at a path, found without opening it: opening a pipe waits, and opening a device does things.</summary>
internal enum FileKind
{
    Nothing,
    Regular,
    Folder,
    Link,
    Pipe,
    Device,
    Socket,
}

/// <summary>Finds out what stands at a path. Pipes, devices and sockets are told apart on Linux; elsewhere they look regular.</summary>
internal static class FileKinds
{
    /// <summary>The kind, of a link itself or of what it leads to.</summary>
    public static FileKind Of(string path, bool followLinks)
    {
        if (OperatingSystem.IsLinux())
        {
            return UnixFile.TryGet(path, followLinks)?.Kind ?? FileKind.Nothing;
        }

        FileSystemInfo file = Directory.Exists(path) ? new DirectoryInfo(path) : new FileInfo(path);
        return file switch
        {
            { LinkTarget: not null } when !followLinks => FileKind.Link,
            { LinkTarget: not null } => file.ResolveLinkTarget(returnFinalTarget: true) is { Exists: true } target ? Of(target.FullName, followLinks) : FileKind.Nothing,
            DirectoryInfo => FileKind.Folder,
            _ => file.Exists ? FileKind.Regular : FileKind.Nothing,
        };
    }

    /// <summary>The kind in words, for a message.</summary>
    public static string Describe(this FileKind kind) => kind switch
    {
        FileKind.Nothing => "not there",
        FileKind.Regular => "a file",
        FileKind.Folder => "a folder",
        FileKind.Link => "a link",
        FileKind.Pipe => "a pipe",
        FileKind.Device => "a device",
        _ => "a socket",
    };
}
