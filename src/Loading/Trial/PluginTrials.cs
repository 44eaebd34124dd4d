using System.Diagnostics;

namespace Moe.Plugins;

/// <summary>
/// Decides whether a plugin's code may run in this process: not before it was tried in one of its own, unless the options say so or there is no such
/// process to be had. Only what its own code did twice in a row, where it had all that it
/// could need, is held against it; where nothing is known, it is left out of this start, and tried
/// again at the next.
/// </summary>
internal sealed class PluginTrials(MoeOptions options, VerdictStore verdicts)
{
    private readonly Lazy<(TrialProgram? Program, string Missing)> _program = new(static () =>
    {
        TrialProgram? program = TrialProgram.Find(out string missing);
        return (program, missing);
    });

    /// <summary>Adds the step to the plugin's record, and ends it there if its code may not run.</summary>
    public void Judge(FolderPlugin plugin)
    {
        if (plugin is not { HasEnded: false, Staged: { } staged })
        {
            return;
        }

        var clock = Stopwatch.StartNew();
        try
        {
            Judge(plugin, staged.Content.Hash, clock);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or MoeException)
        {
            plugin.End(MoePluginStepKind.Trial, MoeStepOutcome.Refused, exception, clock.Elapsed);
        }
    }

    private void Judge(FolderPlugin plugin, string hash, Stopwatch clock)
    {
        bool endedOne = verdicts.TakeMarks(hash);
        IReadOnlyDictionary<string, string> settings = options.SettingsOf(plugin.Id);
        if (verdicts.Find(hash, options.ActivationTimeout, settings) is { } known && (!known.IsHarmless || !endedOne))
        {
            MoeTelemetry.CacheHit("verdict");
            Apply(plugin, known, "It was tried before.", clock.Elapsed);
            return;
        }

        TrialOutcome outcome = Try(plugin, settings);
        switch (outcome.Kind)
        {
            case TrialOutcome.Kinds.Interrupted:
                LeaveOut(plugin, MoeReason.Crashed, outcome.Sentence, clock.Elapsed);
                break;
            case TrialOutcome.Kinds.NotStarted when endedOne:
                LeaveOut(plugin, MoeReason.Crashed, "The process that made its backend the last time ended before that was done; nobody knows why.", clock.Elapsed);
                break;
            case TrialOutcome.Kinds.NotStarted:
                plugin.Note(MoePluginStepKind.Trial, $"It was not tried in a process of its own: {outcome.Sentence}.", clock.Elapsed);
                break;
            case TrialOutcome.Kinds.Fault when Try(plugin, settings) is { Kind: not TrialOutcome.Kinds.Fault }:
                LeaveOut(plugin, outcome.Reason, $"{outcome.Sentence} A second time it did not.", clock.Elapsed);
                break;
            case TrialOutcome.Kinds.Fault when !ThreadRoom.IsThere():
                LeaveOut(
                    plugin,
                    outcome.Reason,
                    $"{outcome.Sentence} That may not be its own fault: this user can start no more than {ThreadRoom.Enough} threads here (ulimit -u, or a container's pids.max).",
                    clock.Elapsed);
                break;
            default:
                var verdict = TrialVerdict.Of(plugin, hash, outcome, options.ActivationTimeout, settings);
                verdicts.Keep(verdict);
                Apply(plugin, verdict, "It did no harm to a process of its own.", clock.Elapsed);
                break;
        }
    }

    private TrialOutcome Try(FolderPlugin plugin, IReadOnlyDictionary<string, string> settings)
    {
        if (options.Trial != MoeTrialMode.Child)
        {
            return TrialOutcome.NotStarted($"{options.PathOf(nameof(MoeOptions.Trial))} is {options.Trial}");
        }

        (TrialProgram? program, string missing) = _program.Value;
        return program is null ? TrialOutcome.NotStarted(missing) : ChildTrial.Run(program, plugin, settings, options.ActivationTimeout);
    }

    private static void LeaveOut(FolderPlugin plugin, MoeReason reason, string sentence, TimeSpan duration) => plugin.End(
        MoePluginStepKind.Trial,
        MoeStepOutcome.Failed,
        new MoeException(reason, $"{sentence} It is left out of this start, and tried again at the next."),
        duration);

    private static void Apply(FolderPlugin plugin, TrialVerdict verdict, string harmless, TimeSpan duration)
    {
        if (verdict.IsHarmless)
        {
            plugin.Note(MoePluginStepKind.Trial, harmless, duration);
            return;
        }

        plugin.Quarantine(
            MoePluginStepKind.Trial,
            verdict.Reason,
            $"{verdict.Sentence} It is in quarantine until 'moe plugins release {plugin.Id}'.",
            duration);
    }
}
