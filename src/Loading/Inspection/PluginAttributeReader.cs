using System.Reflection.Metadata;

namespace Moe.Plugins;

/// <summary>Reads <see cref="MoePluginAttribute"/> and the assembly's version from metadata.</summary>
internal static class PluginAttributeReader
{
    // ECMA-335 II.23.3: a custom attribute's value starts with this.
    private const ushort Prolog = 1;

    public static PluginManifest? Read(MetadataReader metadata)
    {
        string version = metadata.GetAssemblyDefinition().Version.ToString(fieldCount: 3);
        (string Id, string EntryType, string Contract)? plugin = null;
        foreach (CustomAttributeHandle handle in metadata.GetAssemblyDefinition().GetCustomAttributes())
        {
            CustomAttribute attribute = metadata.GetCustomAttribute(handle);
            switch (TypeName(metadata, attribute))
            {
                case "Moe.Plugins.MoePluginAttribute":
                    plugin = ReadPlugin(metadata, attribute);
                    break;
                case "System.Reflection.AssemblyInformationalVersionAttribute":
                    // What follows a plus names a source revision: too long for a report, and no part of the version's order.
                    version = PlainText.Of(Strings(metadata, attribute, 1)[0].Split('+')[0]);
                    break;
            }
        }

        return plugin is { } found ? new PluginManifest(found.Id, found.EntryType, found.Contract, version) : null;
    }

    private static (string Id, string EntryType, string Contract) ReadPlugin(MetadataReader metadata, CustomAttribute attribute)
    {
        string[] values = Strings(metadata, attribute, 3);
        return PluginId.IsValid(values[0])
            ? (values[0], values[1], values[2])
            : throw new MoeException(MoeReason.NotAPlugin, $"[assembly: MoePlugin] gives the id '{values[0]}'; {PluginId.Rule} is expected.");
    }

    private static string? TypeName(MetadataReader metadata, CustomAttribute attribute)
    {
        if (attribute.Constructor.Kind != HandleKind.MemberReference)
        {
            return null;
        }

        MemberReference constructor = metadata.GetMemberReference((MemberReferenceHandle)attribute.Constructor);
        if (constructor.Parent.Kind != HandleKind.TypeReference)
        {
            return null;
        }

        TypeReference type = metadata.GetTypeReference((TypeReferenceHandle)constructor.Parent);
        return $"{metadata.GetString(type.Namespace)}.{metadata.GetString(type.Name)}";
    }

    // Strings and types are both written as a SerString (ECMA-335 II.23.3).
    private static string[] Strings(MetadataReader metadata, CustomAttribute attribute, int count)
    {
        BlobReader blob = metadata.GetBlobReader(attribute.Value);
        if (blob.ReadUInt16() != Prolog)
        {
            throw new BadImageFormatException("A custom attribute's value does not start with its prolog.");
        }

        var values = new string[count];
        for (int i = 0; i < count; i++)
        {
            values[i] = blob.ReadSerializedString() ?? "";
        }

        return values;
    }
}
