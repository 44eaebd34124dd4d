using System.Reflection;

namespace Moe.Plugins.Cli.Tests;

public sealed class NewTests
{
    private const string Name = "Contoso.Try1";

    [Theory]
    [InlineData("1st", "is not a backend's name")]
    [InlineData("_private", "is not a backend's name")]
    [InlineData("Contoso.My-Backend", "is not a backend's name")]
    [InlineData("a..b", "is not a backend's name")]
    [InlineData("Contoso.class", "has the C# keyword 'class' in it")]
    [InlineData("cpu", "is taken")]
    [InlineData("Mxfp4.Marlin", "is taken")]
    [InlineData("auto", "is taken")]
    [InlineData("Moe.Plugins", "is taken")]
    [InlineData("moe.plugins.Abstractions", "is taken")]
    [InlineData("Con", "begins with 'Con', which is a device on Windows")]
    [InlineData("lpt1.Fp4", "begins with 'lpt1', which is a device on Windows")]
    [InlineData("Contoso.ThisNameIsLongerThanWhatPathsThatRepeatItSeveralTimesCanHold1", "has 69 characters")]
    public async Task A_name_that_no_backend_can_have_is_refused(string name, string reason)
    {
        Cli result = await Cli.Run("new", name, "--output", Path.Combine(Path.GetTempPath(), Path.GetRandomFileName()));

        Assert.Equal(2, result.ExitCode);
        Assert.Contains($"'{name}' {reason}", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_is_written_over()
    {
        using var folder = new TemporaryFolder();
        await File.WriteAllTextAsync(Path.Combine(folder.Path, "mine.txt"), "mine", TestContext.Current.CancellationToken);

        Cli result = await Cli.Run("new", Name, "--output", folder.Path);

        Assert.Equal(2, result.ExitCode);
        Assert.Contains("is not empty", result.Error, StringComparison.Ordinal);
        Assert.Single(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    [Fact]
    public async Task A_new_backend_names_the_version_that_made_it()
    {
        using var folder = new TemporaryFolder();

        Cli result = await Cli.Run("new", Name, "--output", folder.Path);

        Assert.Equal(0, result.ExitCode);
        string version = typeof(MoeHost).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];
        string properties = await File.ReadAllTextAsync(Path.Combine(folder.Path, "Directory.Build.props"), TestContext.Current.CancellationToken);
        Assert.Contains($"<MoePluginsVersion>{version}</MoePluginsVersion>", properties, StringComparison.Ordinal);
    }
}
