using System.Buffers.Binary;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace Moe.Plugins.Tests;

/// <summary>What a plugin references is refused before it is loaded. No SDK builds for a later .NET: the reference is patched.</summary>
public sealed class ReferenceTests
{
    [Theory]
    [InlineData("System.Runtime", 99, MoeReason.RuntimeVersion, "It was built for .NET 99.0; this program runs on .NET 10.0.")]
    [InlineData("Moe.Plugins.Abstractions", 99, MoeReason.ContractVersion, "It was built against contract 99; this host has 2.0, and major versions do not mix.")]
    [InlineData("Moe.Plugins.Abstractions", 1, MoeReason.ContractVersion, "It was built against contract 1; this host has 2.0, and major versions do not mix.")]
    public async Task A_reference_to_another_major_version_is_refused(string reference, ushort major, MoeReason reason, string sentence)
    {
        using var drop = new DropFolder().With("Good");
        SetMajorVersion(drop.MainAssemblyOf("Good"), reference, major);
        await using MoeHost host = drop.Load();

        MoePluginInfo plugin = Assert.Single(host.Plugins);
        Assert.Equal((MoeCandidateState.Rejected, reason), (plugin.State, plugin.Reason));
        Assert.Contains(sentence, plugin.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_newer_copy_of_a_platform_assembly_is_refused()
    {
        // Its own assembly under the platform's name is enough: what counts is the version in its metadata.
        using var drop = new DropFolder().With("Good");
        string shipped = Path.Combine(drop.Plugins, "Good", "System.Diagnostics.DiagnosticSource.dll");
        File.Copy(drop.MainAssemblyOf("Good"), shipped);
        SetAssemblyVersion(shipped, 99);
        await using MoeHost host = drop.Load();

        MoePluginInfo plugin = Assert.Single(host.Plugins);
        Assert.Equal(MoeReason.RuntimeVersion, plugin.Reason);
        Assert.Contains("ships System.Diagnostics.DiagnosticSource.dll 99.", plugin.Message, StringComparison.Ordinal);
    }

    private static void SetMajorVersion(string file, string reference, ushort major) => Patch(file, metadata =>
    {
        AssemblyReferenceHandle row = metadata.AssemblyReferences
            .Single(h => metadata.StringComparer.Equals(metadata.GetAssemblyReference(h).Name, reference));
        // ECMA-335 II.22.5: a row of AssemblyRef starts with its major version.
        return (metadata.GetTableMetadataOffset(TableIndex.AssemblyRef)
            + ((MetadataTokens.GetRowNumber(row) - 1) * metadata.GetTableRowSize(TableIndex.AssemblyRef)), major);
    });

    // ECMA-335 II.22.2: the row of Assembly has a hash algorithm of 4 bytes before its major version.
    private static void SetAssemblyVersion(string file, ushort major) =>
        Patch(file, metadata => (metadata.GetTableMetadataOffset(TableIndex.Assembly) + 4, major));

    private static void Patch(string file, Func<MetadataReader, (int Offset, ushort Value)> where)
    {
        byte[] bytes = File.ReadAllBytes(file);
        using var image = new PEReader(new MemoryStream(bytes, writable: false));
        (int offset, ushort value) = where(image.GetMetadataReader());
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(image.PEHeaders.MetadataStartOffset + offset), value);
        File.WriteAllBytes(file, bytes);
    }
}
