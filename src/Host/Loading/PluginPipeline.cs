namespace Moe.Plugins;

/// <summary>The steps that take one plugin from its folder to a loaded assembly. Each leaves its outcome in the plugin's record.</summary>
internal sealed class PluginPipeline
{
    private readonly IPluginLoader _loader;
    private readonly PluginStaging _staging;
    private readonly TrustPolicy _trust;
    private readonly PluginTrials _trials;

    public PluginPipeline(MoeOptions options, IReadOnlyList<string> folders, IPluginLoader loader)
    {
        _loader = loader;
        string root = options.StagingFolder ?? PluginStaging.DefaultRoot();
        _staging = new PluginStaging(root);
        _trust = new TrustPolicy(options, folders);
        Verdicts = new VerdictStore(root);
        _trials = new PluginTrials(options, Verdicts);
    }

    public VerdictStore Verdicts { get; }

    /// <summary>All that is done before any of the plugin's code runs, and before its assembly is loaded.</summary>
    /// <param name="file">The plugin.</param>
    /// <param name="checkId">Throws where the id that it declares may not be used.</param>
    public PluginRecord Prepare(PluginFile file, Action<string> checkId)
    {
        var record = new PluginRecord(file.Name, file.MainAssembly) { File = file };
        _ = record.Try(MoePluginStepKind.Trust, MoeCandidateState.Discovered, () => CheckPlace(record, file))
            && record.Try(MoePluginStepKind.Inspect, MoeCandidateState.Inspected, () => Inspect(record, file, checkId))
            && record.Try(MoePluginStepKind.Stage, MoeCandidateState.Staged, () => Stage(record, file))
            && Verify(record);
        return record;
    }

    /// <summary>Finds out whether the plugin's code may run in this process.</summary>
    public void Judge(PluginRecord record) => _trials.Judge(record);

    /// <summary>Loads what was prepared; a backend that is part of the program needs no loading.</summary>
    public void Load(PluginRecord record)
    {
        if (record is { HasEnded: false, Staged: not null })
        {
            record.Try(MoePluginStepKind.Load, MoeCandidateState.Loaded, () => LoadCopy(record));
        }
    }

    private string CheckPlace(PluginRecord record, PluginFile file)
    {
        _trust.CheckPlace(file);
        record.Source = PluginContent.Read(file.Folder);
        return $"It holds {record.Source.Files.Count} files, {record.Source.ByteCount} bytes, {record.Source.ShortHash}.";
    }

    private static string Inspect(PluginRecord record, PluginFile file, Action<string> checkId)
    {
        PluginManifest manifest = PluginInspector.Inspect(file.MainAssembly);
        record.Id = manifest.Id;
        record.Version = manifest.Version;
        record.ContractVersion = manifest.Contract;
        checkId(manifest.Id);
        return $"It declares {manifest.Id} {manifest.Version}, entry type {manifest.EntryType}, contract {manifest.Contract}.";
    }

    private string Stage(PluginRecord record, PluginFile file)
    {
        record.Staged = _staging.Stage(record.Id, file.Folder, record.Source!);

        // What is loaded is the copy: a file that was swapped after the first look is seen here.
        PluginManifest manifest = PluginInspector.Inspect(record.Staged.MainAssemblyOf(file));
        if (manifest.Id != record.Id || manifest.Version != record.Version)
        {
            throw new MoeException(
                MoeReason.Trust,
                $"The plugin was {record.Id} {record.Version} when it was inspected, and {manifest.Id} {manifest.Version} when it was copied.");
        }

        record.EntryType = manifest.EntryType;
        return record.Staged.Folder;
    }

    private bool Verify(PluginRecord record) =>
        !_trust.Pins
        || record.Try(
            MoePluginStepKind.Verify,
            MoeCandidateState.Staged,
            () => _trust.Verify(record.Id, record.Version, record.Staged!.Content));

    private string LoadCopy(PluginRecord record)
    {
        string main = record.Staged!.MainAssemblyOf(record.File!);
        string entryType = record.EntryType;
        ILoadedPlugin loaded = _loader.Load(main);
        record.Loaded = loaded;
        record.Entry = () => loaded.CreateEntry(entryType);
        return $"It was loaded from {main}.";
    }
}
