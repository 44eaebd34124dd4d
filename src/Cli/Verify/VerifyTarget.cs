using System.CommandLine;
using System.Runtime.CompilerServices;

namespace Moe.Plugins.Cli;

/// <summary>The backend that is to be verified, and how a host that has it is made.</summary>
/// <param name="Text">As the command line has it.</param>
/// <param name="Id">The id, or the name of the DLL's folder, which is the same.</param>
/// <param name="MakeHost">Makes a host of its own that has it.</param>
internal sealed record VerifyTarget(string Text, string Id, Func<MoeHost> MakeHost)
{
    /// <exception cref="CommandException">There is no such file, or it does not lie where a plugin does.</exception>
    public static VerifyTarget Parse(string text, ParseResult result, CommandConsole console)
    {
        // A path to a plugin's folder means the DLL of its name. A bare name is an id, whatever lies in the current folder.
        if (text.AsSpan().ContainsAny(Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar) && Directory.Exists(text))
        {
            text = Path.Combine(text, Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(text))) + ".dll");
        }

        if (!text.EndsWith(".dll", StringComparison.OrdinalIgnoreCase))
        {
            return new VerifyTarget(text, text, () => HostFactory.Create(result, console));
        }

        string path = Path.GetFullPath(text);
        if (!File.Exists(path))
        {
            throw new CommandException(ExitCode.BadInput, $"'{PlainText.Of(text)}' is not a file; a plugin's DLL or the id of a backend is expected.");
        }

        string name = Path.GetFileNameWithoutExtension(path);
        string folder = Path.GetDirectoryName(path)!;
        if (!Path.GetFileName(folder).Equals(name, StringComparison.OrdinalIgnoreCase))
        {
            throw new CommandException(
                ExitCode.BadInput, $"'{PlainText.Of(text)}' is in the folder '{Path.GetFileName(folder)}'; a plugin is in a folder of its own name: {name}/{name}.dll.");
        }

        return new VerifyTarget(text, name, () => MakeHostOf(folder, name, console));
    }

    // Its neighbours are other people's plugins: the host gets a folder with this one alone, and has a copy of its own once it is made.
    private static MoeHost MakeHostOf(string folder, string name, CommandConsole console)
    {
        DirectoryInfo alone = Directory.CreateTempSubdirectory("moe-verify-");
        try
        {
            foreach (string file in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
            {
                // What is no file is for the host to refuse; to copy it would wait for it, or read a device.
                if (FileKinds.Of(file, followLinks: true) != FileKind.Regular)
                {
                    throw new CommandException(ExitCode.BadInput, $"'{PlainText.Of(file)}' is {FileKinds.Of(file, followLinks: true).Describe()}; a plugin's folder holds files.");
                }

                string copy = Path.Combine(alone.FullName, name, Path.GetRelativePath(folder, file));
                Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
                File.Copy(file, copy);
            }

            MoeOptions options = HostFactory.Options();
            options.PluginFolders = [alone.FullName];
            return HostFactory.Create(options, console);
        }
        finally
        {
            alone.Delete(recursive: true);
        }
    }

    /// <summary>What checks it again, as far as it is the same for all rules.</summary>
    public string Command => $"moe verify {Text}{Options}";

    /// <summary>Options that the command is to have again.</summary>
    public string Options { get; init; } = "";

    /// <summary>Makes a host, hands out the backend, and disposes the host.</summary>
    /// <param name="use">Uses the backend, and says whether it has come back from it: a host whose plugin still runs cannot be disposed.</param>
    /// <returns>The backend's id and version.</returns>
    /// <exception cref="CommandException">The host has no such backend.</exception>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public string Use(Func<IMoeBackend, MoeHost, bool> use)
    {
        MoeHost host = MakeHost();
        bool isFree = true;
        try
        {
            MoePluginInfo? plugin = host.Plugins.FirstOrDefault(plugin => plugin.Id.Equals(Id, StringComparison.OrdinalIgnoreCase));
            if (plugin is null || host.FindBackend(plugin.Id) is not IMoeBackend backend)
            {
                string[] found = [.. host.Plugins.Select(other => other.Id)];
                string why = plugin is null ? $"It was not found.{DidYouMean.Ask(Id, found)} Found: {string.Join(", ", found)}." : plugin.Message;
                throw new CommandException(
                    HostFactory.CodeOf(plugin?.Reason ?? MoeReason.NotFound), $"'{PlainText.Of(Text)}' could not be loaded as a backend. {why}");
            }

            // Who is interrupted cannot say whether the plugin still runs.
            isFree = false;
            isFree = use(backend, host);
            return $"{plugin.Id} {plugin.Version}";
        }
        finally
        {
            if (isFree)
            {
                host.Dispose();
            }
        }
    }
}
