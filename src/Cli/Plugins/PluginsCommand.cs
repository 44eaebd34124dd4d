using System.CommandLine;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>`moe plugins`: what the operator of a host decides about plugins.</summary>
internal static class PluginsCommand
{
    private static readonly Argument<string> Folder = new("FOLDER") { Description = "The plugin's folder, named as its main assembly." };

    private static readonly Option<string?> LockFile = new("--lock")
    {
        Description = "The lock file of the host that shall trust it: moe.plugins.lock.json beside your program. Default: Moe__LockFile, or that of moe itself.",
        HelpName = "FILE",
    };

    private static readonly Option<bool> Yes = new("--yes") { Description = "Write without asking." };

    private static readonly Argument<string> Id = new("ID") { Description = "The plugin's id." };

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
        string id = result.GetValue(Id)!;
        IReadOnlyList<string> released = MoeQuarantine.Release(HostFactory.Options(), id);
        if (released.Count == 0)
        {
            throw new CommandException(ExitCode.BadInput, $"'{id}' is not in quarantine.");
        }

        foreach (string sentence in released)
        {
            console.Out.WriteLine(sentence);
        }

        return ExitCode.Ok;
    }

    private static int Trust(ParseResult result, CommandConsole console)
    {
        MoePluginFolder folder = MoePluginFolder.Read(result.GetValue(Folder)!);
        string lockFile = result.GetValue(LockFile) is { } named ? Path.GetFullPath(named) : HostFactory.Options().LockFilePath;
        PluginFolderText.Write(folder, console.Out);
        if (!result.GetValue(Yes))
        {
            if (!console.CanAsk)
            {
                throw new CommandException(ExitCode.BadInput, $"nobody is there to be asked; --yes writes {lockFile}.");
            }

            if (!console.Out.Confirm($"Trust it, in {Markup.Escape(lockFile)}?", defaultValue: false))
            {
                console.Out.WriteLine("Nothing was written.");
                return ExitCode.Ok;
            }
        }

        folder.PinIn(lockFile);
        console.Out.WriteLine($"{folder.Id} {folder.Version} is pinned in {lockFile}.");
        if (File.Exists(lockFile + ".sig"))
        {
            console.Out.WriteLine($"{lockFile}.sig was a signature of the old content: sign it again.");
        }

        return ExitCode.Ok;
    }
}
