using System.CommandLine;
using System.CommandLine.Help;

namespace Moe.Plugins.Cli;

/// <summary>The program: parses arguments, runs a command, and turns whatever ends it into a message and an exit code.</summary>
internal static class MoeCommandLine
{
    private const string Description =
        "Run mixture-of-experts layers on the backends in the plugins folder.\n\n"
        + "Settings also come from environment variables: Moe__Backend, Moe__Plugins__<id>__<setting> and the others of the host.\n\n"
        + "Exit codes: 0 right; 1 a result is wrong, a rule is broken or something became slower; 2 a bad option, file or setting; 3 no backend can run it, or the named one is not there; 4 the backend failed; "
        + "5 the device is throttled and was not measured; 130 interrupted.";

    public static async Task<int> InvokeAsync(string[] args, CommandConsole console)
    {
        using var help = new StringWriter();
        Command root = Create(console, help);

        // '@' begins a file's name like any other letter. The library would read arguments from the file behind it, whatever that is and without end.
        ParseResult result = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        console.AsJson = args.TakeWhile(static argument => argument != "--").Contains(CommandOptions.Json.Name);
        try
        {
            ParseErrors.ThrowIfAny(result);
            var invocation = new InvocationConfiguration { EnableDefaultExceptionHandler = false, Output = help };
            if (result.CommandResult.Command.Name == ChatCommand.Name)
            {
                // Ctrl+C ends an answer there. The library would end the program two seconds later all the same.
                invocation.ProcessTerminationTimeout = null;
            }
            else if (result.CommandResult.Command.Name == VerifyCommand.Name)
            {
                // It writes what is known by then, which takes more than two seconds where the machine is busy.
                invocation.ProcessTerminationTimeout = TimeSpan.FromSeconds(20);
            }

            int exitCode = await result.InvokeAsync(invocation);
            WriteHelp(console, help.ToString());
            return exitCode;
        }
        catch (Exception exception)
        {
            (int exitCode, string message) = Explain(exception);
            console.WriteError(exitCode, message, (exception as CommandException)?.Partial);
            return exitCode;
        }
    }

    /// <summary>What a program and a person are told of what ended a command.</summary>
    public static (int ExitCode, string Message) Explain(Exception exception) => exception switch
    {
        CommandException known => (known.ExitCode, OwnWords.Of(known.Message)),
        MoeSelectionException known => (ExitCode.Failed, OwnWords.Of(known.Report.Sentence)),
        MoeException known => (IsInput(known.Reason) ? ExitCode.BadInput : ExitCode.Failed, OwnWords.Of(known.Message)),
        OperationCanceledException => (ExitCode.Interrupted, "interrupted."),
        IOException or UnauthorizedAccessException => (ExitCode.BadInput, exception.Message),

        // A fault of this program, or of a plugin's memory, which commands use as it is: neither a user nor a program can do anything with its stack.
        _ => (ExitCode.Failed, $"unexpected fault of this program or of a plugin: {ExceptionText.NameAndMessage(exception)}"),
    };

    /// <summary>Writes what the library fills up with spaces, without them.</summary>
    private static void WriteHelp(CommandConsole console, string help)
    {
        if (help.Length > 0)
        {
            console.Plain.WriteLine(string.Join('\n', help.TrimEnd().Split('\n').Select(static line => line.TrimEnd())));
        }
    }

    private static bool IsInput(MoeReason reason) => reason
        is MoeReason.Configuration or MoeReason.NotFound or MoeReason.Checkpoint or MoeReason.Shape or MoeReason.Format
        or MoeReason.NotAPlugin or MoeReason.Trust or MoeReason.ContractVersion or MoeReason.RuntimeVersion or MoeReason.DuplicateId;

    private static Command Create(CommandConsole console, TextWriter help)
    {
        // Not a RootCommand, which would call itself by the assembly's name.
        var root = new Command("moe", Description)
        {
            RunCommand.Create(console),
            BackendsCommand.Create(console),
            InspectCommand.Create(console),
            QuantizeCommand.Create(console),
            KernelsCommand.Create(console),
            PluginsCommand.Create(console),
            VerifyCommand.Create(console),
            GenerateCommand.Create(console),
            ChatCommand.Create(console),
            MakeModelCommand.Create(console),
            NewCommand.Create(console),
            BenchCommand.Create(console),
            CommandOptions.Json,
            new HelpOption { Action = new HelpAction { MaxWidth = console.Out.Profile.Width } },
            new VersionOption(),
        };
        root.SetAction(_ => root.Parse("--help").Invoke(new InvocationConfiguration { Output = help }));
        return root;
    }
}
