using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;

namespace Moe.Plugins.Cli;

/// <summary>The program: parses arguments, runs a command, and turns whatever ends it into a message and an exit code.</summary>
internal static class MoeCommandLine
{
    private const string Description = """
        Mixture-of-experts layers on whatever backends lie in the plugins folder.

        Settings also come from environment variables: Moe__Backend, Moe__Plugins__<id>__<setting> and the others of the host.
        Exit codes: 0 right, 1 ran and is wrong, 2 bad option or file, 3 no backend can run it, 4 the backend failed, 5 the device is
        throttled and was not measured, 130 interrupted.
        """;

    public static async Task<int> InvokeAsync(string[] args, CommandConsole console)
    {
        Command root = Create(console);
        ParseResult result = root.Parse(args);
        if (result.Errors.Count > 0)
        {
            foreach (ParseError error in result.Errors)
            {
                console.WriteError(error.Message);
            }

            string name = Path(result.CommandResult);
            await console.Error.Profile.Out.Writer.WriteLineAsync($"'{name} --help' lists what is expected.");
            return ExitCode.BadInput;
        }

        try
        {
            var invocation = new InvocationConfiguration { EnableDefaultExceptionHandler = false, Output = console.Json };
            return await result.InvokeAsync(invocation);
        }
        catch (CommandException exception)
        {
            console.WriteError(exception.Message);
            return exception.ExitCode;
        }
        catch (MoeException exception)
        {
            console.WriteError(exception.Message);
            return ExitCode.BadInput;
        }
        catch (OperationCanceledException)
        {
            console.WriteError("interrupted.");
            return ExitCode.Interrupted;
        }
    }

    /// <summary>A command with those that it belongs to, as it is typed.</summary>
    private static string Path(CommandResult result) =>
        result.Parent is CommandResult parent ? $"{Path(parent)} {result.Command.Name}" : result.Command.Name;

    private static Command Create(CommandConsole console)
    {
        // Not a RootCommand, which would call itself by the assembly's name.
        var root = new Command("moe", Description)
        {
            RunCommand.Create(console),
            BackendsCommand.Create(console),
            InspectCommand.Create(console),
            KernelsCommand.Create(console),
            PluginsCommand.Create(console),
            VerifyCommand.Create(console),
            GenerateCommand.Create(console),
            ChatCommand.Create(console),
            MakeModelCommand.Create(console),
            NewCommand.Create(console),
            BenchCommand.Create(console),
            new HelpOption(),
            new VersionOption(),
        };
        root.SetAction(_ => root.Parse("--help").Invoke(new InvocationConfiguration { Output = console.Json }));
        return root;
    }
}
