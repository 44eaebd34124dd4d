using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe new`: the template of a backend, without the package of templates.</summary>
internal static class NewCommand
{
    private const string Description =
        "Make a backend that runs, with tests that check it against the contract. The same as `dotnet new moe-backend -n NAME [--cuda]`.";

    private static readonly Argument<string> Name = CommandOptions.RequiredText("NAME", "Name of the backend, its assembly and its namespace: Contoso.MyBackend.");

    private static readonly Option<string?> Output = CommandOptions.Text(
        "--output", "FOLDER", "Folder to make it in. Default: one of that name in the current folder.");

    private static readonly Option<bool> Cuda = new("--cuda") { Description = "For NVIDIA GPUs: with a kernel that is compiled and tested without one." };

    public static Command Create(CommandConsole console)
    {
        var command = new Command("new", Description) { Name, Output, Cuda };
        command.SetAction(result => Execute(result, console));
        return command;
    }

    private static int Execute(ParseResult result, CommandConsole console)
    {
        string name = result.GetRequiredValue(Name);
        if (BackendName.Describe(name) is { } fault)
        {
            throw new CommandException(ExitCode.BadInput, $"'{PlainText.Of(name)}' {fault}");
        }

        string folder = Path.GetFullPath(result.GetValue(Output) ?? name);
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
        {
            throw new CommandException(ExitCode.BadInput, $"'{PlainText.Of(folder)}' is not empty; a new or empty folder is expected.");
        }

        IReadOnlyList<string> files = BackendTemplate.Write(name, folder, result.GetValue(Cuda) ? "cuda" : "cpu");
        console.Write(
            writer =>
            {
                writer.WriteString("name", name);
                writer.WriteString("folder", folder);
                writer.WriteStrings("files", files);
            },
            text =>
            {
                text.Say($"{name} is in {folder}. Next, there:");
                text.Say($"  dotnet test");
                text.Say($"  moe verify plugins/{name}/{name}.dll");
            });
        return ExitCode.Ok;
    }
}
