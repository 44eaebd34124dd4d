using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Moe.Plugins;

/// <summary>
/// Reads a plugin's metadata without loading it, and refuses what cannot work here. Once loaded, a plugin for a newer contract or
/// runtime fails with "file not found", or simply is not an <see cref="IMoePlugin"/>: here the reason is still plain.
/// </summary>
internal static class PluginInspector
{
    /// <exception cref="MoeException">The plugin cannot work here; the message says why.</exception>
    public static PluginManifest Inspect(string mainAssembly)
    {
        if (!File.Exists(mainAssembly))
        {
            throw new MoeException(
                MoeReason.NotFound,
                $"The folder holds no {PlainText.Of(Path.GetFileName(mainAssembly))}; a plugin's main assembly is named after its folder.");
        }

        PluginManifest manifest;
        try
        {
            manifest = PeFile.Read(mainAssembly, image => Read(mainAssembly, image));
        }
        catch (BadImageFormatException)
        {
            throw NotAPlugin(mainAssembly, "is not a .NET assembly");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"{PlainText.Of(Path.GetFileName(mainAssembly))} cannot be read: {PlainText.Of(exception.Message)}", exception);
        }

        ContractCheck.Check(manifest.Contract);
        string folder = Path.GetDirectoryName(mainAssembly)!;
        LoaderFilesCheck.Check(mainAssembly);
        FrameworkCheck.Check(mainAssembly);
        PluginFolderCheck.Check(folder);
        NativeImportCheck.Check(folder);
        return manifest;
    }

    private static PluginManifest Read(string mainAssembly, PEReader image)
    {
        if (!image.HasMetadata)
        {
            throw NotAPlugin(mainAssembly, "is a native library, not a managed assembly");
        }

        MetadataReader metadata = image.GetMetadataReader();
        if (!metadata.IsAssembly)
        {
            throw NotAPlugin(mainAssembly, "is a module without an assembly");
        }

        ReferenceCheck.Check(metadata);
        return PluginAttributeReader.Read(metadata)
            ?? throw NotAPlugin(mainAssembly, "has no [assembly: MoePlugin(id, entry type)]");
    }

    private static MoeException NotAPlugin(string mainAssembly, string what) =>
        new(MoeReason.NotAPlugin, $"{PlainText.Of(Path.GetFileName(mainAssembly))} {what}.");
}
