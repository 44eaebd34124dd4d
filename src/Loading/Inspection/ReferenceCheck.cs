using System.Reflection.Metadata;

namespace Moe.Plugins;

/// <summary>Refuses a plugin by what it references: a newer runtime, or another contract.</summary>
internal static class ReferenceCheck
{
    private const string Runtime = "System.Runtime";

    private static readonly Version ContractAssembly = typeof(IMoePlugin).Assembly.GetName().Version!;
    private static readonly string ContractName = typeof(IMoePlugin).Assembly.GetName().Name!;

    public static void Check(MetadataReader metadata)
    {
        foreach (AssemblyReferenceHandle handle in metadata.AssemblyReferences)
        {
            AssemblyReference reference = metadata.GetAssemblyReference(handle);
            string name = metadata.GetString(reference.Name);
            if (name == Runtime && reference.Version.Major > Environment.Version.Major)
            {
                throw new MoeException(
                    MoeReason.RuntimeVersion,
                    $"It was built for .NET {reference.Version.ToString(2)}; this program runs on .NET {Environment.Version.ToString(2)}.");
            }

            if (name == ContractName && reference.Version.Major != ContractAssembly.Major)
            {
                throw new MoeException(
                    MoeReason.ContractVersion,
                    $"It was built against contract {reference.Version.Major}; this host has {MoeContract.Version}, and major versions do not mix.");
            }
        }
    }
}
