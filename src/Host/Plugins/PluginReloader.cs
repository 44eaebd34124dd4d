using System.Diagnostics;

namespace Moe.Plugins;

/// <summary>Takes what a plugin's folder holds now, and offers it instead of what was loaded, if it is any good.</summary>
internal sealed class PluginReloader(
    PluginSet plugins,
    IReadOnlyList<IPluginSource> sources,
    PluginActivator activator,
    PluginUnloader unloader)
{
    /// <summary>Reloads one plugin; one that was not there before is loaded.</summary>
    /// <exception cref="MoeException">No plugin has the id, or it is part of the program.</exception>
    public MoeReloadReport Reload(string id)
    {
        PluginRecord? old = plugins.Current
            .Where(p => p.Id.Equals(id, StringComparison.OrdinalIgnoreCase))
            .OrderBy(static p => p.HasEnded)
            .FirstOrDefault();
        if (old is { File: null })
        {
            throw new MoeException(MoeReason.Configuration, $"{old.Id} is part of the program and cannot be reloaded.");
        }

        // A new plugin's folder is named as its assembly is, by convention as its id is.
        PluginFile file = old?.File ?? sources.Select(source => source.Find(id)).OfType<PluginFile>().FirstOrDefault()
            ?? throw new MoeException(
                MoeReason.NotFound,
                UnknownBackend.Describe(
                    id, "the reload", [.. plugins.Current.Select(static p => p.Id)], [.. sources.SelectMany(static source => source.Folders)]));
        return Reload(old, file);
    }

    /// <summary>Reloads every plugin whose folder's content is another than at the last look, and loads those that were added.</summary>
    public IReadOnlyList<MoeReloadReport> ReloadChanged() =>
    [
        .. from source in sources
           from file in source.FindChanged()
           select Reload(plugins.Current.FirstOrDefault(p => p.File == file), file),
    ];

    private MoeReloadReport Reload(PluginRecord? old, PluginFile file)
    {
        using MoeTelemetry.Work activity = MoeTelemetry.Start("reload");
        PluginRecord? next = file.Source.Reload(file, old, plugins.Current);
        if (next is null)
        {
            return Report(old!, MoeReloadOutcome.Unchanged, old!, $"{old!.Id} {old.Version} is unchanged.");
        }

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
                    ? $"{next.Id} {next.Build} is active now."
                    : $"{next.Id} {next.Build} runs new layers; {old.Build} goes with its last layer.");
    }

    private static MoeReloadReport Report(PluginRecord named, MoeReloadOutcome outcome, PluginRecord subject, string sentence) =>
        new() { Id = named.Id, Outcome = outcome, Plugin = subject.Describe(), Sentence = sentence };
}
