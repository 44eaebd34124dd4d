using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Xml.Linq;

namespace Moe.Plugins.Packages.Tests;

/// <summary>Fresh programs of somebody who has the packages and nothing else.</summary>
public sealed class ProgramTests(PackedPackages packages)
{
    private const string Sample = "pad-hidden.safetensors";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_readmes_commands_program_and_settings_give_the_right_result_built_and_published()
    {
        string readme = await File.ReadAllTextAsync(Path.Combine(Repository.Root, "README.md"), Token);
        string program = Block(readme, "csharp", "CreateApplicationBuilder");
        Assert.Equal(await File.ReadAllTextAsync(Path.Combine(Repository.Root, "samples", "MinimalHost", "Program.cs"), Token), program);
        string folder = await packages.MakeFolderAsync("minimal");
        foreach (string command in Block(readme, "console", "dotnet add package").Split('\n').Where(line => line.StartsWith("$ dotnet ", StringComparison.Ordinal)))
        {
            string[] words = command["$ dotnet ".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
            await OtherProgram.DotnetAsync(folder, Token, words);
        }

        await WriteAsync(Path.Combine(folder, "Program.cs"), program);
        await WriteAsync(Path.Combine(folder, "appsettings.json"), Block(readme, "json", "\"Order\""));
        Edit(folder, project => project.Add(new XElement(
            "ItemGroup", new XElement("None", new XAttribute("Update", "appsettings.json"), new XAttribute("CopyToOutputDirectory", "PreserveNewest")))));
        string sample = Path.Combine(AppContext.BaseDirectory, Sample);

        string built = await OtherProgram.DotnetAsync(folder, Token, "run", "--", sample);
        await OtherProgram.DotnetAsync(folder, Token, "publish", "-o", "published", "-v", "q");
        string published = await OtherProgram.DotnetAsync(Path.Combine(folder, "published"), Token, "minimal.dll", sample);

        Assert.All([built, published], output =>
        {
            Assert.Matches("Cpu .* runs model.layers.0.mlp", output);
            Assert.Contains("Moe:Order", output, StringComparison.Ordinal);
            Assert.Contains("17 tokens of 320 values", output, StringComparison.Ordinal);
            string[] values = output.Split("the first: ")[1].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[..4];
            Assert.All(values.Zip(ExpectedOutput(4)), pair => Assert.Equal(pair.Second, float.Parse(pair.First, CultureInfo.CurrentCulture), 0.05f));
        });
    }

    [Fact]
    public async Task A_backend_that_is_compiled_in_is_a_reference_and_no_plugin()
    {
        string folder = await MakeAsync(
            "compiled", "CompiledIn.cs", "Moe.Plugins.Host", "Moe.Plugins.Backends.Cpu", "Microsoft.Extensions.DependencyInjection");
        Edit(folder, project => project.Add(new XElement(
            "PropertyGroup",
            new XElement("MoeCompiledInBackends", "Cpu"),
            new XElement("IsAotCompatible", "true"),
            new XElement("TreatWarningsAsErrors", "true"))));

        string output = await OtherProgram.DotnetAsync(folder, Token, "run");

        Assert.Contains("Cpu ", output, StringComparison.Ordinal);
        Assert.Contains(" runs ", output, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateDirectories(Path.Combine(folder, "bin"), "plugins", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task A_program_and_its_library_place_shipped_and_other_backends_once()
    {
        string folder = await packages.MakeFolderAsync("placed");
        OtherProgram made = await OtherProgram.RunAsync(packages.Tool, folder, ["new", "Contoso.Fp4"], Token);
        Assert.True(made.ExitCode == 0, made.Output);
        await OtherProgram.DotnetAsync(folder, Token, "pack", Path.Combine("Contoso.Fp4", "src", "Contoso.Fp4"), "-o", packages.Folder, "-v", "q");
        try
        {
            await OtherProgram.DotnetAsync(folder, Token, "new", "classlib", "-o", "library", "--no-restore");
            await WriteAsync(Path.Combine(folder, "library", "Class1.cs"), """
                public static class Devices
                {
                    public static string Describe() => Moe.Plugins.Cuda.CudaDriver.TryLoad(out string? reason) ? "CUDA is here." : $"no CUDA: {reason}";
                }
                """);
            await AddPackagesAsync(Path.Combine(folder, "library"), "Moe.Plugins", "Moe.Plugins.Backends.Bf16", "Moe.Plugins.Cuda");
            await OtherProgram.DotnetAsync(folder, Token, "new", "console", "-o", "program", "--no-restore");
            string program = Path.Combine(folder, "program");
            await WriteAsync(Path.Combine(program, "Program.cs"), """
                using Moe.Plugins;
                await using var host = MoeHost.Create(new MoeOptions { StagingFolder = args[0] });
                foreach (var plugin in host.Plugins) Console.WriteLine($"{plugin.Id}: {plugin.State}, {string.Join(", ", plugin.Steps.Select(step => step.Step))}.");
                Console.WriteLine(Devices.Describe());
                """);
            await OtherProgram.DotnetAsync(program, Token, "add", "reference", Path.Combine("..", "library"));
            await AddPackagesAsync(program, "Contoso.Fp4", "Moe.Plugins.Backends.Cpu");

            await OtherProgram.DotnetAsync(program, Token, "publish", "-o", "published", "-v", "q");
            string output = await OtherProgram.DotnetAsync(folder, Token, Path.Combine(program, "published", "program.dll"), Path.Combine(folder, "staging"));

            // The program that new plugins are tried in is beside it too.
            Assert.All(["Bf16", "Contoso.Fp4", "Cpu"], id => Assert.Matches($"(?m)^{id}: Activated, .*Trial, ", output));
            Assert.Contains("CUDA", output, StringComparison.Ordinal);
            string[] placed = [.. Directory.GetDirectories(folder, "plugins", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(folder, path))];
            Assert.Equal([Path.Combine("program", "published", "plugins")], placed.Where(path => path.Contains("published", StringComparison.Ordinal)));
            Assert.DoesNotContain(placed, path => path.StartsWith("library", StringComparison.Ordinal));
            Assert.False(File.Exists(Path.Combine(program, "published", "plugins", "Contoso.Fp4", "Moe.Plugins.Abstractions.dll")), "the contract is the host's");
            Assert.False(File.Exists(Path.Combine(program, "published", "Cpu.dll")), "a plugin is no reference");

            // A backend whose package is gone is not left behind to be loaded.
            await OtherProgram.DotnetAsync(program, Token, "remove", "package", "Contoso.Fp4");
            await OtherProgram.DotnetAsync(program, Token, "build", "-c", "Release", "-v", "q");
            string[] left = Directory.GetFiles(Path.Combine(program, "bin"), "*.dll", SearchOption.AllDirectories);
            Assert.Contains(left, file => Path.GetFileName(file) == "Cpu.dll");
            Assert.DoesNotContain(left, file => Path.GetFileName(file) == "Contoso.Fp4.dll");
        }
        finally
        {
            File.Delete(packages.PackageFile("Contoso.Fp4"));
        }
    }

    private async Task<string> MakeAsync(string name, string program, params string[] references)
    {
        string folder = await packages.MakeFolderAsync(name);
        await OtherProgram.DotnetAsync(folder, Token, "new", "console", "--no-restore");
        File.Copy(Path.Combine(AppContext.BaseDirectory, "Programs", program), Path.Combine(folder, "Program.cs"), overwrite: true);
        await AddPackagesAsync(folder, references);
        return folder;
    }

    private static async Task AddPackagesAsync(string project, params string[] references)
    {
        foreach (string reference in references)
        {
            await OtherProgram.DotnetAsync(project, Token, "add", "package", reference);
        }
    }

    /// <summary>The block of a language in a Markdown text that contains a word.</summary>
    private static string Block(string text, string language, string word) => text
        .Split($"```{language}\n")[1..]
        .Select(block => block.Split("```")[0])
        .First(block => block.Contains(word, StringComparison.Ordinal));

    private static Task WriteAsync(string file, string text) => File.WriteAllTextAsync(file, text, Token);

    private static void Edit(string folder, Action<XElement> edit)
    {
        string file = Assert.Single(Directory.GetFiles(folder, "*.csproj"));
        XDocument project = XDocument.Load(file);
        edit(project.Root!);
        project.Save(file);
    }

    // The reference result in the sample, float32.
    private static float[] ExpectedOutput(int count)
    {
        byte[] file = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, Sample));
        int headerLength = (int)BitConverter.ToInt64(file);
        using JsonDocument header = JsonDocument.Parse(file.AsMemory(sizeof(long), headerLength));
        int offset = header.RootElement.GetProperty("expected.output").GetProperty("data_offsets")[0].GetInt32();
        return MemoryMarshal.Cast<byte, float>(file.AsSpan(sizeof(long) + headerLength + offset))[..count].ToArray();
    }
}
