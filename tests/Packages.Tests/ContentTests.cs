using System.IO.Compression;
using System.Reflection.PortableExecutable;
using System.Xml.Linq;

namespace Moe.Plugins.Packages.Tests;

/// <summary>What is in the packages.</summary>
public sealed class ContentTests(PackedPackages packages)
{
    private static readonly string[] Libraries =
    [
        "Moe.Plugins.Abstractions", "Moe.Plugins.Checkpoints", "Moe.Plugins.Conformance", "Moe.Plugins.Conformance.Xunit", "Moe.Plugins.Cuda",
        "Moe.Plugins.GptOss", "Moe.Plugins.GptOss.Cuda", "Moe.Plugins.Host", "Moe.Plugins.Kernels", "Moe.Plugins.Loading",
    ];

    private static readonly string[] Backends = ["Bf16", "Collectives.Cuda", "Cpu", "Mxfp4.Marlin", "Mxfp4.Sm100"];

    private static readonly string[] Others = ["Moe.Plugins", "Moe.Plugins.Cli", "Moe.Plugins.CpuKernels", "Moe.Plugins.Templates", .. Backends.Select(PackageOf)];

    public static TheoryData<string> LibraryIds => [.. Libraries];

    public static TheoryData<string> BackendIds => [.. Backends];

    public static TheoryData<string> Ids => [.. Libraries, .. Others];

    [Fact]
    public void One_command_packs_these_and_nothing_else()
    {
        // A stranger's backend lies there while another test uses it.
        IEnumerable<string> ids = Directory.GetFiles(packages.Folder)
            .Select(file => Nuspec(file).Element("id")!.Value)
            .Where(id => !id.StartsWith("Contoso.", StringComparison.Ordinal));

        Assert.Equal(Libraries.Concat(Others).Order(StringComparer.Ordinal), ids.Order(StringComparer.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Ids))]
    public void A_package_says_what_it_is(string id)
    {
        string file = packages.PackageFile(id);
        using ZipArchive zip = ZipFile.OpenRead(file);
        Dictionary<string, string> said = Nuspec(file).Elements().ToDictionary(element => element.Name.LocalName, element => element.Value);

        Assert.True(zip.GetEntry(said["readme"])!.Length > 1000);
        Assert.True(zip.GetEntry(said["icon"])!.Length > 100);
        Assert.Equal("MIT", said["license"]);
        Assert.True(said["description"].Length > 40, said["description"]);
        Assert.NotEqual("", said["tags"]);
    }

    [Theory]
    [InlineData("Moe.Plugins.Loading", "Moe.Plugins.Host")]
    [InlineData("Moe.Plugins.GptOss", "Moe.Plugins.CpuKernels")]
    [InlineData("Moe.Plugins.GptOss.Cuda", "Moe.Plugins.GptOss")]
    public void What_uses_anothers_internals_asks_for_its_own_version_of_it(string id, string other)
    {
        XElement metadata = Metadata(packages.PackageFile(id));
        string version = metadata.Elements().Single(element => element.Name.LocalName == "version").Value;
        XElement dependency = Assert.Single(metadata.Descendants(), element => element.Name.LocalName == "dependency" && element.Attribute("id")!.Value == other);

        Assert.Equal($"[{version}]", dependency.Attribute("version")!.Value);
    }

    [Theory]
    [MemberData(nameof(LibraryIds))]
    public void A_library_comes_with_its_documentation_and_symbols(string id)
    {
        using ZipArchive zip = ZipFile.OpenRead(packages.PackageFile(id));
        string library = Assert.Single(zip.Entries, entry => entry.FullName.StartsWith("lib/", StringComparison.Ordinal) && entry.Name.EndsWith(".dll", StringComparison.Ordinal)).FullName;
        Assert.Equal($"lib/net10.0/{id}.dll", library);

        using Stream documentation = zip.GetEntry(Path.ChangeExtension(library, ".xml"))!.Open();
        Assert.NotEmpty(XDocument.Load(documentation).Descendants("summary"));

        // Symbols are in the library itself, and no package of symbols has to be found for them.
        using var image = new PEReader(Read(zip.GetEntry(library)!));
        DebugDirectoryEntryType[] kinds = [.. image.ReadDebugDirectory().Select(entry => entry.Type)];
        Assert.Contains(DebugDirectoryEntryType.EmbeddedPortablePdb, kinds);
        Assert.Contains(DebugDirectoryEntryType.Reproducible, kinds);
    }

    [Theory]
    [MemberData(nameof(BackendIds))]
    public void A_backend_is_a_folder_to_be_placed_and_no_reference(string id)
    {
        using ZipArchive zip = ZipFile.OpenRead(packages.PackageFile(PackageOf(id)));
        string[] files = [.. zip.Entries.Select(entry => entry.FullName)];

        Assert.Contains($"plugins/{id}/{id}.dll", files);
        Assert.Contains($"plugins/{id}/{id}.deps.json", files);
        Assert.Contains($"buildTransitive/net10.0/{PackageOf(id)}.targets", files);
        Assert.Equal(["lib/net10.0/_._"], files.Where(file => file.StartsWith("lib/", StringComparison.Ordinal)));
        Assert.DoesNotContain($"plugins/{id}/Moe.Plugins.Abstractions.dll", files);
        Assert.DoesNotContain(Metadata(packages.PackageFile(PackageOf(id))).Descendants(), element => element.Name.LocalName == "dependency");
    }

    [Fact]
    public void One_package_brings_the_host_with_loading_the_checkpoints_and_a_backend() => Assert.Equal(
        ["Moe.Plugins.Backends.Cpu", "Moe.Plugins.Checkpoints", "Moe.Plugins.Loading"],
        Metadata(packages.PackageFile("Moe.Plugins")).Descendants().Where(element => element.Name.LocalName == "dependency").Select(element => element.Attribute("id")!.Value));

    [Fact]
    public async Task What_is_packed_again_is_the_same_package()
    {
        string again = Path.Combine(await packages.MakeFolderAsync("again"), "packages");

        await PackedPackages.PackAsync(Path.Combine("src", "Host"), again);

        byte[] first = await File.ReadAllBytesAsync(packages.PackageFile("Moe.Plugins.Host"), TestContext.Current.CancellationToken);
        byte[] second = await File.ReadAllBytesAsync(Assert.Single(Directory.GetFiles(again)), TestContext.Current.CancellationToken);
        Assert.True(
            first.AsSpan().SequenceEqual(second),
            "the packages differ in their bytes; an SDK before 10.0.400 may write the time of packing into them");
    }

    [Fact]
    public void The_tool_carries_the_backends_two_samples_and_what_a_new_backend_is_built_with()
    {
        using ZipArchive zip = ZipFile.OpenRead(packages.PackageFile("Moe.Plugins.Cli"));
        string[] files = [.. zip.Entries.Select(entry => entry.FullName)];

        Assert.All(Backends, id => Assert.Contains($"tools/net10.0/any/plugins/{id}/{id}.dll", files));
        Assert.Equal(
            ["model.safetensors", "pad-hidden.safetensors"],
            files.Where(file => file.EndsWith(".safetensors", StringComparison.Ordinal)).Select(file => file.Split('/')[^1]).Order(StringComparer.Ordinal));
        Assert.All(
            ["Moe.Plugins.Abstractions", "Moe.Plugins.Conformance", "Moe.Plugins.Conformance.Xunit"],
            id => Assert.Contains($"tools/net10.0/any/packages/{Path.GetFileName(packages.PackageFile(id))}", files));
    }

    private static string PackageOf(string backend) => $"Moe.Plugins.Backends.{backend}";

    private static MemoryStream Read(ZipArchiveEntry entry)
    {
        var bytes = new MemoryStream();
        using Stream stream = entry.Open();
        stream.CopyTo(bytes);
        bytes.Position = 0;
        return bytes;
    }

    // Without the namespace, which says nothing here and differs between versions of the format.
    private static XElement Nuspec(string file) =>
        new("metadata", Metadata(file).Elements().Select(element => new XElement(element.Name.LocalName, element.Value)));

    private static XElement Metadata(string file)
    {
        using ZipArchive zip = ZipFile.OpenRead(file);
        using Stream stream = zip.Entries.Single(entry => entry.Name.EndsWith(".nuspec", StringComparison.Ordinal)).Open();
        return XDocument.Load(stream).Root!.Elements().Single();
    }
}
