using Microsoft.Extensions.Logging;

namespace Moe.Plugins;

/// <summary>Takes every plugin that is there as far as it goes: found, inspected, staged, loaded, activated.</summary>
internal sealed class PluginCatalog
{
    private readonly MoeOptions _options;
    private readonly ILoggerFactory _loggers;
    private readonly IPluginLoader? _loader;
    private readonly List<PluginRecord> _plugins = [];
    private readonly Dictionary<PluginRecord, string> _folders = [];

    private PluginCatalog(MoeOptions options, ILoggerFactory loggers, IPluginLoader? loader)
    {
        _options = options;
        _loggers = loggers;
        _loader = loader;
    }

    /// <param name="options">Where to look, and each plugin's settings.</param>
    /// <param name="folders">The folders to look in, absolute.</param>
    /// <param name="compiledIn">Backends of the program itself; they come first.</param>
    /// <param name="loader">Null where no DLL is to be loaded.</param>
    /// <param name="loggers">Where the plugins' messages go.</param>
    public static IReadOnlyList<PluginRecord> Load(
        MoeOptions options,
        IReadOnlyList<string> folders,
        IEnumerable<CompiledInPlugin> compiledIn,
        IPluginLoader? loader,
        ILoggerFactory loggers)
    {
        var catalog = new PluginCatalog(options, loggers, loader);
        foreach (CompiledInPlugin plugin in compiledIn)
        {
            catalog.Add(plugin);
        }

        if (loader is not null)
        {
            var staging = new PluginStaging(options.StagingFolder ?? PluginStaging.DefaultRoot());
            foreach (PluginFile file in PluginFinder.Find(folders))
            {
                catalog.Add(file, staging);
            }
        }

        catalog.ActivateAll();
        return catalog._plugins;
    }

    private void Add(CompiledInPlugin plugin)
    {
        var record = new PluginRecord(plugin.Id, "(compiled in)") { Version = plugin.Version, ContractVersion = plugin.Contract };
        bool isNew = record.Try(MoePluginStepKind.Find, MoeCandidateState.Discovered, () => CheckId(record));
        _plugins.Add(record);
        if (isNew)
        {
            record.Entry = plugin.Create;
        }
    }

    private void Add(PluginFile file, PluginStaging staging)
    {
        var record = new PluginRecord(file.Name, file.MainAssembly);
        string staged = "";
        bool isLoaded = record.Try(MoePluginStepKind.Inspect, MoeCandidateState.Inspected, () => Inspect(record, file))
            && record.Try(MoePluginStepKind.Stage, MoeCandidateState.Staged, () => staged = staging.Stage(record.Id, file.Folder))
            && record.Try(MoePluginStepKind.Load, MoeCandidateState.Loaded, () => LoadCopy(record, new PluginFile(file.Name, staged)));
        _plugins.Add(record);
        if (isLoaded)
        {
            _folders[record] = staged;
        }
    }

    private string Inspect(PluginRecord record, PluginFile file)
    {
        PluginManifest manifest = PluginInspector.Inspect(file.MainAssembly);
        record.Id = manifest.Id;
        record.Version = manifest.Version;
        record.ContractVersion = manifest.Contract;
        CheckId(record);
        return $"It declares {manifest.Id} {manifest.Version}, entry type {manifest.EntryType}, contract {manifest.Contract}.";
    }

    private string CheckId(PluginRecord record)
    {
        PluginRecord? first = _plugins.Find(p => !p.HasEnded && p.Id.Equals(record.Id, StringComparison.OrdinalIgnoreCase));
        return first is null
            ? "It is part of the program."
            : throw new MoeException(MoeReason.DuplicateId, $"Another plugin has the id {record.Id} and comes first: {first.Path}.");
    }

    private string LoadCopy(PluginRecord record, PluginFile copy)
    {
        // What is loaded is the copy: a file that was swapped after the first look is seen here.
        PluginManifest manifest = PluginInspector.Inspect(copy.MainAssembly);
        if (manifest.Id != record.Id)
        {
            throw new MoeException(MoeReason.Trust, $"The plugin was {record.Id} when it was inspected and {manifest.Id} when it was copied.");
        }

        ILoadedPlugin loaded = _loader!.Load(copy.MainAssembly);
        record.Loaded = loaded;
        record.Entry = () => loaded.CreateEntry(manifest.EntryType);
        return $"It was loaded from {copy.MainAssembly}.";
    }

    // All at once: a plugin that hangs costs the program one deadline, however many do.
    private void ActivateAll()
    {
        List<(PluginRecord Plugin, Deadline<IMoeBackend> Work)> started =
        [
            .. from plugin in _plugins
               where plugin is { HasEnded: false, Entry: not null }
               select (plugin, new Deadline<IMoeBackend>($"Moe.Plugins activation of {plugin.Id}", Activation(plugin))),
        ];

        foreach ((PluginRecord plugin, Deadline<IMoeBackend> work) in started)
        {
            try
            {
                if (work.TryGet(_options.ActivationTimeout, out IMoeBackend? backend))
                {
                    plugin.Activate(backend!, work.Elapsed);
                }
                else
                {
                    plugin.TimeOut(MoePluginStepKind.Activate, "Making its backend", _options.ActivationTimeout);
                }
            }
            catch (Exception exception)
            {
                plugin.End(MoePluginStepKind.Activate, MoeStepOutcome.Failed, exception, work.Elapsed);
            }
        }
    }

    private Func<IMoeBackend> Activation(PluginRecord plugin)
    {
        Func<IMoePlugin> entry = plugin.Entry!;
        var context = new PluginContext(
            _options.SettingsOf(plugin.Id),
            _folders.GetValueOrDefault(plugin, AppContext.BaseDirectory),
            new PluginLog(_loggers.CreateLogger($"Moe.Plugins.{plugin.Id}")));
        return () => entry().CreateBackend(context)
            ?? throw new MoeException(MoeReason.ContractBroken, $"{nameof(IMoePlugin)}.{nameof(IMoePlugin.CreateBackend)} returned null.");
    }
}
