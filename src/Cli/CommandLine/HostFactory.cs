using System.CommandLine;
using Microsoft.Extensions.Configuration;

namespace Moe.Plugins.Cli;

/// <summary>Makes the host that a command line and the environment describe. The command line counts first.</summary>
internal static class HostFactory
{
    /// <param name="result">The command line.</param>
    /// <param name="console">Where warnings go.</param>
    /// <param name="change">Changes what the environment says.</param>
    /// <param name="mayBeEmpty">Whether the command has something to say without any plugin.</param>
    /// <exception cref="CommandException">A plugin folder that was named is not there, or no plugin was found.</exception>
    /// <exception cref="MoeException">A setting in the environment is wrong.</exception>
    public static MoeHost Create(ParseResult result, CommandConsole console, Action<MoeOptions>? change = null, bool mayBeEmpty = false)
    {
        MoeOptions options = Options();
        change?.Invoke(options);
        string[] folders = result.GetValue(CommandOptions.Plugins) ?? [];
        foreach (string folder in folders)
        {
            if (!Directory.Exists(folder))
            {
                throw new CommandException(ExitCode.BadInput, $"--plugins is '{PlainText.Of(folder)}'; a folder that exists is expected.");
            }
        }

        if (folders.Length > 0)
        {
            options.PluginFolders = [.. folders.Select(Path.GetFullPath)];
        }

        return Create(options, console, mayBeEmpty);
    }

    /// <summary>Makes a host whose warnings a person sees.</summary>
    /// <exception cref="CommandException">No plugin was found.</exception>
    public static MoeHost Create(MoeOptions options, CommandConsole console, bool mayBeEmpty = false)
    {
        var warnings = new HostWarnings(console);
        var host = MoeHost.Create(options, warnings);
        if (warnings.NoBackend is string sentence)
        {
            if (!mayBeEmpty)
            {
                host.Dispose();
                throw new CommandException(ExitCode.NoBackend, sentence);
            }

            console.WriteWarning(sentence);
        }

        return host;
    }

    /// <summary>The options that the environment gives.</summary>
    /// <exception cref="MoeException">A setting in the environment is wrong.</exception>
    public static MoeOptions Options() => MoeOptions.From(new ConfigurationBuilder().AddEnvironmentVariables().Build());

    /// <summary>Asks which backend runs a layer.</summary>
    /// <exception cref="CommandException">None does; the message says what speaks against each.</exception>
    public static MoeSelectionReport Select(MoeHost host, MoeLayerRequest request)
    {
        MoeSelectionReport report = host.Explain(request);
        return report.Selected is not null ? report : throw Refused(report);
    }

    /// <summary>What ends a command whose layer no backend runs.</summary>
    public static CommandException Refused(MoeSelectionReport report)
    {
        // Where a backend is named, or one that could run the layer may not, the sentence says all there is to say. Where none can, each has its reason.
        bool isSaid = IsNamed(report.Request) || report.Candidates.Any(candidate => candidate.IsEligible);
        IEnumerable<MoeCandidate> meant = report.Candidates.Where(
            candidate => !IsNamed(report.Request) || candidate.Id.Equals(report.Request.Backend, StringComparison.OrdinalIgnoreCase));
        return new CommandException(CodeOf(meant.Select(candidate => candidate.Reason)), isSaid ? report.Sentence : Describe(report));
    }

    /// <summary>The exit code where backends that were meant are not to be had: a wrong setting of one is the caller's, as every other setting is.</summary>
    public static int CodeOf(params IEnumerable<MoeReason> reasons) => reasons.Contains(MoeReason.Configuration) ? ExitCode.BadInput : ExitCode.NoBackend;

    /// <summary>What ends a command whose layer a backend said that it runs, and could not make: no command falls back to another backend by itself.</summary>
    public static CommandException NotMade(MoeSelectionReport chosen, MoeSelectionException exception)
    {
        string id = chosen.Selected!.Id;
        string why = exception.Report.Candidates.FirstOrDefault(candidate => candidate.Id == id)?.Message ?? exception.Message;
        string[] others = [.. chosen.Candidates.Where(candidate => candidate.IsEligible && candidate.Id != id).Select(candidate => PlainText.Of(candidate.Id))];
        return new CommandException(
            ExitCode.Failed,
            $"Backend {PlainText.Of(id)} was chosen and could not make the layer: {why}{(others.Length == 0 ? "" : $" (--backend names another one: {string.Join(" or ", others)})")}",
            exception);
    }

    /// <summary>Whether a request is for one backend and no other.</summary>
    public static bool IsNamed(MoeLayerRequest request) =>
        request.Backend is string name && !name.Equals(MoeOptions.Auto, StringComparison.OrdinalIgnoreCase);

    /// <summary>What speaks against every candidate, the same reason once for all that have it.</summary>
    private static string Describe(MoeSelectionReport report)
    {
        IEnumerable<string> reasons = report.Candidates
            .GroupBy(candidate => candidate.Message.Length > 0 ? candidate.Message : $"{candidate.State}, {candidate.Reason}")
            .Select(same => $"  {string.Join(", ", same.Select(candidate => PlainText.Of(candidate.Id)))}: {same.Key}");
        return string.Join('\n', [report.Sentence, .. reasons, .. report.Folders.Select(folder => $"  Looked in {PlainText.Of(folder)}")]);
    }
}
