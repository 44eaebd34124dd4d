using System.Diagnostics;

namespace Moe.Plugins;

/// <summary>
/// Decides whether a plugin's code may run in this process: not where it ended one before, and not before it was tried in one of its own,
/// unless the options say so or there is no such process to be had.
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
        if (verdicts.Find(hash) is { } known && (!known.IsHarmless || !endedOne))
        {
            MoeTelemetry.CacheHit("verdict");
            Apply(plugin, known, "It was tried before.", clock.Elapsed);
            return;
        }

        (MoeReason Reason, string Sentence)? found = null;
        string why = $"{MoeOptions.SectionName}:{nameof(MoeOptions.Trial)} is {options.Trial}";
        if (options.Trial == MoeTrialMode.Child)
        {
            (TrialProgram? program, why) = _program.Value;
            if (program is not null)
            {
                found = ChildTrial.Run(
                    program, plugin, options.SettingsOf(plugin.Id), verdicts.NewFile(), options.ActivationTimeout, out why);
            }
        }

        if (found is null && endedOne)
        {
            found = (MoeReason.Crashed, "The process that made its backend the last time ended before that was done.");
        }

        if (found is not { } end)
        {
            plugin.Note(MoePluginStepKind.Trial, $"It was not tried in a process of its own: {why}.", clock.Elapsed);
            return;
        }

        var verdict = new TrialVerdict(plugin.Id, plugin.Version, hash, end.Reason, end.Sentence, VerdictStore.Runtime);
        verdicts.Keep(verdict);
        Apply(plugin, verdict, "It did no harm to a process of its own.", clock.Elapsed);
    }

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
