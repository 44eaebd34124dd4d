using System.CommandLine;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>`moe plugins`: what the operator of a host decides about plugins.</summary>
internal static class PluginsCommand
{
    private static readonly Argument<string> Folder = CommandOptions.RequiredText("FOLDER", "The plugin's folder, named as its main assembly.");

    private static readonly Option<string?> LockFile = CommandOptions.Text(
        "--lock",
        "FILE",
        "The lock file of the host that is to trust the plugin: moe.plugins.lock.json beside your program. Default: Moe__LockFile, or that of moe itself.");

    private static readonly Option<bool> Yes = new("--yes") { Description = "Write without asking." };

    private static readonly Argument<string> Id = CommandOptions.RequiredText("ID", "The plugin's id.");

    public static Command Create(CommandConsole console)
    {
        var trust = new Command("trust", "Show what a plugin's folder holds, and pin its id, version and the SHA-256 of every file in the host's lock file.")
        {
            Folder,
            LockFile,
            Yes,
        };
        trust.SetAction(result => Trust(result, console));
        var release = new Command("release", "Let a plugin out of quarantine: the next host that finds it tries it again.") { Id };
        release.SetAction(result => Release(result, console));
        return new Command("plugins", "Decide which plugins a host loads.") { trust, release };
    }

    private static int Release(ParseResult result, CommandConsole console)
    {
        string id = result.GetRequiredValue(Id);
        IReadOnlyList<string> released = MoeQuarantine.Release(HostFactory.Options(), id);
        if (released.Count == 0)
        {
            throw new CommandException(ExitCode.BadInput, $"'{PlainText.Of(id)}' is not in quarantine.");
        }

        console.Write(
            writer =>
            {
                writer.WriteString("id", id);
                writer.WriteStrings("released", released);
            },
            text =>
            {
                foreach (string sentence in released)
                {
                    text.Say($"{sentence}");
                }
            });
        return ExitCode.Ok;
    }

    private static int Trust(ParseResult result, CommandConsole console)
    {
        var folder = MoePluginFolder.Read(result.GetRequiredValue(Folder));
        string lockFile = result.GetValue(LockFile) is { } named ? Path.GetFullPath(named) : HostFactory.Options().LockFilePath;
        WholeFile.Check(lockFile);
        if (!console.AsJson)
        {
            PluginFolderText.Write(folder, console.Out);
        }

        if (!result.GetValue(Yes) && !Confirm(console, lockFile))
        {
            console.Out.WriteLine("Nothing was written.");
            return ExitCode.Ok;
        }

        folder.PinIn(lockFile);
        bool isSigned = File.Exists(lockFile + ".sig");
        console.Write(
            writer =>
            {
                PluginFolderText.WriteJson(writer, folder);
                writer.WriteString("lock_file", lockFile);
                writer.WriteBoolean("needs_signature", isSigned);
            },
            text =>
            {
                text.Say($"{folder.Id} {folder.Version} is pinned in {lockFile}.");
                if (isSigned)
                {
                    text.Say($"{lockFile}.sig is a signature of the old content: sign the file again.");
                }
            });
        return ExitCode.Ok;
    }

    /// <exception cref="CommandException">Nobody is there to be asked.</exception>
    private static bool Confirm(CommandConsole console, string lockFile) => console.CanAsk
        ? console.Out.Confirm($"Trust it, in {PlainConsole.Show(lockFile)}?", defaultValue: false)
        : throw new CommandException(ExitCode.BadInput, $"Nobody is there to confirm; --yes writes {PlainText.Of(lockFile)} without asking.");
}
