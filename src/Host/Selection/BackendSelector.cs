using System.Globalization;

namespace Moe.Plugins;

/// <summary>Asks all backends about a layer and chooses one.</summary>
internal sealed class BackendSelector
{
    private readonly MoeOptions _options;
    private readonly IReadOnlyList<string> _folders;
    private readonly DeviceLosses _lost;
    private readonly PatternUse _patterns;

    public BackendSelector(MoeOptions options, IReadOnlyList<string> folders, DeviceLosses lost)
    {
        _lost = lost;
        _options = options;
        _folders = folders;
        _patterns = new PatternUse(options);
    }

    public MoeSelectionReport Select(IReadOnlyList<PluginRecord> plugins, MoeLayerRequest request)
    {
        _patterns.Saw(request.Name);
        BackendWish wish = BackendWish.Of(_options, request);
        return Choose(request, wish, CandidateRanking.Rank(AskAll(plugins, request, wish.Device), _options.Order));
    }

    /// <summary>A sentence for each pattern of layers that matched none.</summary>
    public string[] DescribeUnusedPatterns() => _patterns.DescribeUnused();

    /// <summary>The report after the chosen backend failed at making the layer.</summary>
    public MoeSelectionReport SelectNext(MoeSelectionReport report, Exception exception)
    {
        MoeCandidate failed = report.Selected!;
        MoeCandidate[] left = [.. report.Candidates.Select(c => c == failed ? BackendProbe.Failed(c, exception) : Unselect(c))];
        return Choose(
            report.Request,
            BackendWish.Of(_options, report.Request),
            CandidateRanking.Rank(left, _options.Order),
            [.. report.PassedOver, failed.Id]);
    }

    private static MoeCandidate Unselect(MoeCandidate candidate) =>
        candidate.IsEligible ? candidate with { State = MoeCandidateState.Eligible } : candidate;

    // All at once, each under the deadline: what hangs is left behind and not asked again.
    private List<MoeCandidate> AskAll(IReadOnlyList<PluginRecord> plugins, MoeLayerRequest request, MoeDevice? device)
    {
        var question = new MoeProbeRequest
        {
            Shape = request.Shape,
            Device = device,
            InputType = request.Options.InputType,
            OutputType = request.Options.OutputType,
        };
        List<(PluginRecord Plugin, Deadline<MoeCandidate>? Answer)> asked =
        [
            .. from plugin in plugins
               select (plugin, plugin is { HasEnded: false, Backend: { } backend }
                   ? new Deadline<MoeCandidate>(
                       $"Moe.Plugins probe of {plugin.Id}",
                       () => BackendProbe.Ask(plugin, backend, question, request.Options))
                   : null),
        ];

        var candidates = new List<MoeCandidate>(asked.Count);
        foreach ((PluginRecord plugin, Deadline<MoeCandidate>? answer) in asked)
        {
            MoeCandidate? candidate = null;
            if (answer is not null && !answer.TryGet(_options.ActivationTimeout, out candidate))
            {
                plugin.TimeOut(MoePluginStepKind.Probe, "Its probe", _options);
            }

            candidates.Add(candidate is null ? BackendProbe.Describe(plugin) : _lost.Judge(candidate));
        }

        return candidates;
    }

    private MoeSelectionReport Choose(
        MoeLayerRequest request,
        BackendWish wish,
        IReadOnlyList<MoeCandidate> ranked,
        IReadOnlyList<string>? failedAtWeights = null)
    {
        var report = new MoeSelectionReport
        {
            Request = request,
            Candidates = ranked,
            Folders = _folders,
            Sentence = "",
            PassedOver = failedAtWeights ?? [],
        };
        return wish.IsAuto ? ChooseBest(report) : ChooseNamed(report, wish);
    }

    private static MoeSelectionReport ChooseNamed(MoeSelectionReport report, BackendWish wish)
    {
        // Of two plugins with one id, the one that was not refused for it.
        MoeCandidate? named = report.Candidates
            .Where(c => c.Id.Equals(wish.Backend, StringComparison.OrdinalIgnoreCase))
            .OrderBy(c => c.Reason == MoeReason.DuplicateId)
            .FirstOrDefault();
        if (named is null)
        {
            return report with { Reason = MoeReason.Configuration, Sentence = UnknownBackend.Describe(wish.Backend, wish.Source, report) };
        }

        return named.IsEligible
            ? With(report, named, $"{wish.Source} names it")
            : report with
            {
                Reason = named.Reason,
                Sentence = $"Backend {named.Id}, which {wish.Source} names, cannot run {NameOf(report.Request)} "
                    + $"({named.State}, {named.Reason}): {named.Message}",
            };
    }

    private MoeSelectionReport ChooseBest(MoeSelectionReport report)
    {
        MoeCandidate? best = report.Candidates.FirstOrDefault(c => c.IsEligible);
        if (best is null)
        {
            return report with
            {
                Reason = report.Candidates.Count == 0 ? MoeReason.NotFound : report.Candidates[0].Reason,
                Sentence = report.Candidates.Count == 0
                    ? $"No backend for {NameOf(report.Request)}: no plugin was found."
                    : $"No backend can run {NameOf(report.Request)}; each says why.",
            };
        }

        string[] missed = [.. report.PassedOver.Concat(CandidateRanking.Before(_options.Order, best.Id)).Distinct(StringComparer.OrdinalIgnoreCase)];
        if (missed.Length == 0)
        {
            return With(report, best, Why(report, best));
        }

        string because = $"{string.Join(", ", missed)} could not be had";
        return _options.Fallback == MoeFallback.Forbid
            ? report with
            {
                Reason = ReasonOf(report, missed[0]),
                IsFallback = true,
                Sentence = $"No backend for {NameOf(report.Request)}: {because}, and "
                    + $"{_options.PathOf(nameof(MoeOptions.Fallback))} forbids to fall back to {best.Id}.",
            }
            : With(report, best, because) with { IsFallback = true };
    }

    private string Why(MoeSelectionReport report, MoeCandidate best) =>
        _options.Order.Contains(best.Id, StringComparer.OrdinalIgnoreCase)
            ? $"first of {_options.PathOf(nameof(MoeOptions.Order))}"
            : report.Candidates.Count(c => c.IsEligible) == 1 ? "the only one that can" : "best score";

    private static MoeReason ReasonOf(MoeSelectionReport report, string id) =>
        report.Candidates.FirstOrDefault(c => c.Id.Equals(id, StringComparison.OrdinalIgnoreCase))?.Reason ?? MoeReason.Configuration;

    private static MoeSelectionReport With(MoeSelectionReport report, MoeCandidate chosen, string why)
    {
        MoeCandidate selected = chosen with { State = MoeCandidateState.Selected };
        return report with
        {
            Candidates = [.. report.Candidates.Select(c => ReferenceEquals(c, chosen) ? selected : c)],
            Selected = selected,
            Sentence = string.Create(
                CultureInfo.InvariantCulture,
                $"{selected.Id} {selected.Version} on {selected.Device} ({selected.DeviceName}) runs {NameOf(report.Request)}, score {selected.Score}: {why}."),
        };
    }

    private static string NameOf(MoeLayerRequest request) => request.Name.Length == 0 ? "the layer" : PlainText.Of(request.Name);
}
