using System.Diagnostics;

namespace Moe.Plugins;

/// <summary>Takes what a plugin's folder holds now, and offers it instead of what was loaded, if it is any good.</summary>
internal sealed class PluginReloader(
    PluginSet plugins,
    IReadOnlyList<string> folders,
    PluginPipeline pipeline,
    PluginActivator activator,
    PluginUnloader unloader)
{
    private readonly Dictionary<string, string> _lastSeen = new(StringComparer.Ordinal);

    /// <summary>Reloads one plugin; one that was not there before is loaded.</summary>
    /// <exception cref="MoeException">No plugin has the id, or it is part of the program.</exception>
    public MoeReloadReport Reload(string id)
    {
        PluginRecord? old = plugins.Current
            .Where(p => p.Id.Equals(id, StringComparison.OrdinalIgnoreCase))
            .OrderBy(static p => p.HasEnded)
            .FirstOrDefault();
        if (old is not null)
        {
            return old.File is null
                ? throw new MoeException(MoeReason.Configuration, $"{old.Id} is part of the program and cannot be reloaded.")
                : Reload(old, old.File);
        }

        // A new plugin's folder is named as its assembly is, by convention as its id is.
        PluginFile? file = PluginFinder.Find(folders).FirstOrDefault(f => f.Name.Equals(id, StringComparison.OrdinalIgnoreCase));
        return file is null
            ? throw new MoeException(
                MoeReason.NotFound,
                UnknownBackend.Describe(id, "the reload", [.. plugins.Current.Select(static p => p.Id)], folders))
            : Reload(old: null, file);
    }

    /// <summary>Reloads every plugin whose folder's content is another than at the last look, and loads those that were added.</summary>
    public IReadOnlyList<MoeReloadReport> ReloadChanged()
    {
        var reports = new List<MoeReloadReport>();
        foreach (PluginFile file in PluginFinder.Find(folders))
        {
            PluginRecord? old = plugins.Current.FirstOrDefault(p => p.File == file);
            string hash = HashOf(file);
            string? seen = _lastSeen.GetValueOrDefault(file.Folder) ?? old?.Source?.Hash;
            if (hash.Length == 0 || hash == seen)
            {
                continue;
            }

            reports.Add(Reload(old, file));
        }

        return reports;
    }

    private MoeReloadReport Reload(PluginRecord? old, PluginFile file)
    {
        using Activity? activity = MoeTelemetry.Start("reload");
        PluginRecord next = pipeline.Prepare(file, id => CheckId(id, old));
        if (next.Source is { } content)
        {
            _lastSeen[file.Folder] = content.Hash;
        }

        // One that never came back is still running its code: the same code is not started again.
        bool isSame = next.Source is not null && next.Source.Hash == old?.Source?.Hash;
        if (isSame && old!.State is not (MoeCandidateState.Failed or MoeCandidateState.Rejected or MoeCandidateState.Quarantined))
        {
            next.Release();
            return Report(old, MoeReloadOutcome.Unchanged, old, $"{old.Id} {old.Version} is unchanged.");
        }

        pipeline.Judge(next);
        pipeline.Load(next);
        activator.Finish(next, activator.Start(next));
        MoeTelemetry.Loaded(next);
        if (next.HasEnded && old is { HasEnded: false })
        {
            unloader.Discard(next);
            return Report(
                old,
                MoeReloadOutcome.Kept,
                next,
                $"{old.Id} {old.Version} is kept: what {file.Folder} holds now cannot be used ({next.State}, {next.Reason}): {next.Message}");
        }

        plugins.Replace(old, next);
        if (old is not null)
        {
            unloader.Retire(old);
        }

        return next.HasEnded
            ? Report(next, MoeReloadOutcome.Kept, next, $"{next.Id} cannot be used ({next.State}, {next.Reason}): {next.Message}")
            : Report(
                next,
                MoeReloadOutcome.Replaced,
                next,
                old is null || old.HasEnded
                    ? $"{next.Id} {Build(next)} is active now."
                    : $"{next.Id} {Build(next)} runs new layers; {Build(old)} goes with its last layer.");
    }

    // While a plugin is worked on, its version stays; the hash is the one that moe backends --explain shows.
    private static string Build(PluginRecord plugin) =>
        plugin.Source is { } content ? $"{plugin.Version} ({content.ShortHash})" : plugin.Version;

    private void CheckId(string id, PluginRecord? old)
    {
        if (old is { HasEnded: false } && !old.Id.Equals(id, StringComparison.OrdinalIgnoreCase))
        {
            throw new MoeException(MoeReason.Trust, $"The folder held plugin {old.Id} and now holds {id}.");
        }

        PluginId.CheckUnique(id, plugins.Current.Where(p => !ReferenceEquals(p, old)));
    }

    // What cannot be read now, because it is being written, is looked at again the next time.
    private static string HashOf(PluginFile file)
    {
        try
        {
            return PluginContent.Read(file.Folder).Hash;
        }
        catch (MoeException exception) when (exception.Reason == MoeReason.NotFound)
        {
            return "";
        }
        catch (MoeException exception)
        {
            return exception.Message;
        }
    }

    private static MoeReloadReport Report(PluginRecord named, MoeReloadOutcome outcome, PluginRecord subject, string sentence) =>
        new() { Id = named.Id, Outcome = outcome, Plugin = subject.Describe(), Sentence = sentence };
}
