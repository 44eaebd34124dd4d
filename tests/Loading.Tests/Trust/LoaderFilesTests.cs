using System.Text;
using System.Text.Json.Nodes;

namespace Moe.Plugins.Tests;

/// <summary>Code that lies outside of a plugin's folder is neither hashed nor copied; no file in the folder leads a loader to it.</summary>
public sealed class LoaderFilesTests : IDisposable
{
    private const string Dependency = "Shared.Dependency.dll";

    private readonly DropFolder _drop = new DropFolder().With("SideOne");
    private readonly string _outside;

    public LoaderFilesTests()
    {
        // What the plugin needs lies beside the staging folder, as a loader looks for it there.
        _outside = Directory.CreateDirectory(Path.Combine(_drop.Root, "outside")).FullName;
        string there = Path.Combine(_drop.Plugins, "SideOne", Dependency);
        string package = Directory.CreateDirectory(Path.Combine(_outside, "shared.dependency.reference", "1.0.0.0")).FullName;
        File.Copy(there, Path.Combine(_outside, Dependency));
        File.Copy(there, Path.Combine(package, Dependency));
        File.Delete(there);
    }

    private string Folder => Path.Combine(_drop.Plugins, "SideOne");

    [Theory]
    [InlineData("runtimeconfig.dev.json")]
    [InlineData("runtimeconfig.json")]
    public void A_folder_to_look_in_is_refused(string name)
    {
        Rewrite("deps.json", static root => Shared(root, Dependency, "runtime"));
        Rewrite(name, root => ((JsonObject)(root["runtimeOptions"] ??= new JsonObject()))["additionalProbingPaths"] = new JsonArray(_outside));
        Refused($"SideOne.{name} has additionalProbingPaths");
    }

    [Theory]
    [InlineData("../../../outside/" + Dependency, "runtime")]
    [InlineData("../../../outside/" + Dependency, "runtimeTargets")]
    [InlineData("lib/../../../../outside/" + Dependency, "runtime")]
    [InlineData("ROOT/outside/" + Dependency, "runtime")]
    [InlineData("ROOT/outside/" + Dependency, "runtimeTargets")]
    [InlineData(@"..\..\..\outside\" + Dependency, "native")]
    [InlineData("C:/outside/" + Dependency, "runtime")]
    public void A_file_elsewhere_is_refused(string path, string kind)
    {
        path = path.Replace("ROOT", _drop.Root, StringComparison.Ordinal);
        Rewrite("deps.json", root => Shared(root, path, kind));
        Refused($"SideOne.deps.json names '{path}', which is not in its folder");
    }

    [Theory]
    [InlineData("path", "../../../outside")]
    [InlineData("path", "/tmp")]
    public void A_packages_folder_elsewhere_is_refused(string member, string value)
    {
        Rewrite("deps.json", root => root["libraries"]!["Shared.Dependency.Reference/1.0.0.0"]![member] = value);
        Refused($"SideOne.deps.json names '{value}'");
    }

    [Fact]
    public void A_framework_that_is_a_way_out_is_refused()
    {
        Rewrite("runtimeconfig.json", static root => root["runtimeOptions"]!["tfm"] = "../../../../tmp");
        Refused("SideOne.runtimeconfig.json names '../../../../tmp'");
    }

    /// <summary>Parsers differ in what they let pass: what is not plainly right is refused.</summary>
    [Theory]
    [InlineData("deps.json", "// a comment\n{}")]
    [InlineData("deps.json", "{} and more")]
    [InlineData("deps.json", "{\"\\uD800\":1}")]
    [InlineData("runtimeconfig.json", "{'runtimeOptions':{}}")]
    [InlineData("runtimeconfig.dev.json", "")]
    public void What_is_not_plainly_JSON_is_refused(string name, string text)
    {
        File.WriteAllText(Path.Combine(Folder, $"SideOne.{name}"), text);
        Refused($"SideOne.{name} is not valid JSON");
    }

    [Fact]
    public void JSON_in_another_encoding_is_refused()
    {
        File.WriteAllText(Path.Combine(Folder, "SideOne.runtimeconfig.dev.json"), "{\"runtimeOptions\":{\"additionalProbingPaths\":[\"/tmp\"]}}", Encoding.Unicode);
        Refused("SideOne.runtimeconfig.dev.json is not valid JSON");
    }

    /// <summary>What the SDK writes is none of that, with a mark of its encoding or without.</summary>
    [Fact]
    public void What_a_build_writes_is_taken()
    {
        string path = Path.Combine(Folder, "SideOne.deps.json");
        File.WriteAllText(path, File.ReadAllText(path), new UTF8Encoding(encoderShouldEmitUTF8Identifier: true));
        Rewrite("runtimeconfig.dev.json", static root => root["runtimeOptions"] = new JsonObject { ["additionalProbingPaths"] = new JsonArray() });
        using MoeHost host = _drop.Load();
        Assert.Equal(MoeCandidateState.Activated, host.Plugins[0].State);

        // It needs what is not there, and nothing has found it elsewhere.
        Assert.Equal(MoeReason.MissingDependency, Assert.Single(host.Explain(TinyLayer.Request).Candidates).Reason);
    }

    public void Dispose() => _drop.Dispose();

    private static void Shared(JsonNode root, string path, string kind)
    {
        foreach ((string library, JsonNode? members) in root["targets"]!.AsObject().First().Value!.AsObject())
        {
            if (library.StartsWith("Shared.", StringComparison.Ordinal))
            {
                members!.AsObject().Remove("runtime");
                members[kind] = new JsonObject { [path] = new JsonObject { ["rid"] = "linux-x64", ["assetType"] = "runtime", ["assemblyVersion"] = "1.0.0.0" } };
                root["libraries"]![library]!["type"] = "package";
                root["libraries"]![library]!["path"] = library.ToLowerInvariant();
            }
        }
    }

    private void Rewrite(string name, Action<JsonNode> change)
    {
        string path = Path.Combine(Folder, $"SideOne.{name}");
        JsonNode root = File.Exists(path) ? JsonNode.Parse(File.ReadAllText(path))! : new JsonObject();
        change(root);
        File.WriteAllText(path, root.ToJsonString(new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }));
    }

    private void Refused(string sentence)
    {
        using MoeHost host = _drop.Load();
        MoePluginInfo plugin = Assert.Single(host.Plugins);
        Assert.Equal((MoeCandidateState.Rejected, MoeReason.Trust, MoePluginStepKind.Inspect), (plugin.State, plugin.Reason, plugin.Steps[^1].Step));
        Assert.Contains(sentence, plugin.Message, StringComparison.Ordinal);
        Assert.Null(host.Explain(TinyLayer.Request).Selected);
    }
}
