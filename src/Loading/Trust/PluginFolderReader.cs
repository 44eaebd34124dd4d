using System.Reflection.Metadata;

namespace Moe.Plugins;

/// <summary>Reads from files, not from loaded code, what is worth knowing before a plugin is trusted.</summary>
internal static class PluginFolderReader
{
    public static MoePluginFolder Read(string folder)
    {
        string path = Path.GetFullPath(folder).TrimEnd(Path.DirectorySeparatorChar);
        if (!Directory.Exists(path))
        {
            throw new MoeException(MoeReason.NotFound, $"{PlainText.Of(path)} is not a folder.");
        }

        try
        {
            PluginManifest manifest = PluginInspector.Inspect(Path.Combine(path, Path.GetFileName(path) + ".dll"));
            PluginContent content = PluginContent.Read(path);
            var native = new List<string>();
            var imports = new List<string>();
            var initializers = new List<string>();
            foreach (string file in content.Files.Keys)
            {
                string full = Path.Combine(path, file);
                switch (KindOf(full))
                {
                    case FileKind.Native:
                        native.Add(file);
                        break;
                    case FileKind.Managed:
                        imports.AddRange(NativeImportCheck.ImportsOf(full).Select(import => $"{file}: {import}"));
                        if (HasModuleInitializer(full))
                        {
                            initializers.Add(file);
                        }

                        break;
                }
            }

            return new MoePluginFolder
            {
                Path = path,
                Id = manifest.Id,
                Version = manifest.Version,
                ContractVersion = manifest.Contract,
                ByteCount = content.ByteCount,
                Files = content.Files,
                NativeLibraries = native,
                Imports = imports,
                ModuleInitializers = initializers,
            };
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"{PlainText.Of(path)} cannot be read: {PlainText.Of(exception.Message)}", exception);
        }
    }

    private enum FileKind
    {
        Other,
        Managed,
        Native,
    }

    private static FileKind KindOf(string file)
    {
        using FileStream stream = RegularFile.Open(file, MoeReason.Trust);
        Span<byte> magic = stackalloc byte[4];
        int read = stream.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false);
        magic = magic[..read];

        // ELF; and Mach-O's four byte orders, of which the fat one is also Java's.
        if (magic.SequenceEqual("\u007fELF"u8) || (read == 4 && BitConverter.ToUInt32(magic) is 0xFEEDFACE or 0xFEEDFACF or 0xCEFAEDFE or 0xCFFAEDFE or 0xBEBAFECA))
        {
            return FileKind.Native;
        }

        if (!magic.StartsWith("MZ"u8))
        {
            return FileKind.Other;
        }

        try
        {
            return PeFile.Read(file, static image => image.HasMetadata) ? FileKind.Managed : FileKind.Native;
        }
        catch (BadImageFormatException)
        {
            return FileKind.Native;
        }
    }

    // C# compiles [ModuleInitializer] to the static constructor of <Module>, the first type of an assembly (ECMA-335 II.10.8).
    private static bool HasModuleInitializer(string file)
    {
        try
        {
            return PeFile.Read(file, static image =>
            {
                MetadataReader metadata = image.GetMetadataReader();
                return metadata.TypeDefinitions
                    .Take(1)
                    .SelectMany(type => metadata.GetTypeDefinition(type).GetMethods())
                    .Any(method => metadata.StringComparer.Equals(metadata.GetMethodDefinition(method).Name, ".cctor"));
            });
        }
        catch (BadImageFormatException)
        {
            return false;
        }
    }
}
