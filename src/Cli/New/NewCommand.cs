using System.CommandLine;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>`moe new`: the template of a backend, without the package of templates.</summary>
internal static class NewCommand
{
    private const string Description =
        "Make a backend that runs, with tests that hold it against the contract: a place to begin. The same as `dotnet new moe-backend -n NAME`.";

    private static readonly Argument<string> Name = new("NAME") { Description = "Name of the backend, its assembly and its namespace: Contoso.MyBackend." };

    private static readonly Option<string?> Output = new("--output")
    {
        Description = "Folder to make it in. Default: one of that name in the current folder.",
        HelpName = "FOLDER",
    };

    public static Command Create(CommandConsole console)
    {
        var command = new Command("new", Description) { Name, Output };
        command.SetAction(result => Execute(result, console));
        return command;
    }

    private static int Execute(ParseResult result, CommandConsole console)
    {
        string name = result.GetRequiredValue(Name);
        if (BackendName.Describe(name) is { } fault)
        {
            throw new CommandException(ExitCode.BadInput, $"'{name}' {fault}");
        }

        string folder = Path.GetFullPath(result.GetValue(Output) ?? name);
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
        {
            throw new CommandException(ExitCode.BadInput, $"'{folder}' is not empty; a folder that does not exist, or an empty one, is expected.");
        }

        BackendTemplate.Write(name, folder);
        console.Out.WriteLine($"{name} is in {folder}. Next, there:");
        console.Out.WriteLine("  dotnet test");
        console.Out.WriteLine($"  moe verify plugins/{name}/{name}.dll");
        return ExitCode.Ok;
    }
}
