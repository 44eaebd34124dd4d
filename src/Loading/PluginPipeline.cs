namespace Moe.Plugins;

/// <summary>The steps that take one plugin from its folder to a loaded assembly. Each leaves its outcome in the plugin's record.</summary>
internal sealed class PluginPipeline
{
    private readonly IPluginLoader _loader;
    private readonly PluginStaging _staging;
    private readonly TrustPolicy _trust;
    private readonly VerdictStore _verdicts;
    private readonly PluginTrials _trials;

    public PluginPipeline(MoeOptions options, IReadOnlyList<string> folders, IPluginLoader loader)
    {
        _loader = loader;
        _trust = new TrustPolicy(options, folders);
        _staging = new PluginStaging(options, checksWay: _trust.Pins);
        _verdicts = new VerdictStore(StagingFolder.Of(options));
        _trials = new PluginTrials(options, _verdicts);
    }

    /// <summary>All that is done before any of the plugin's code runs, and before its assembly is loaded.</summary>
    /// <param name="file">The plugin.</param>
    /// <param name="checkId">Throws where the id that it declares may not be used.</param>
    public FolderPlugin Prepare(PluginFile file, Action<string> checkId)
    {
        var record = new FolderPlugin(file, _verdicts) { File = file };
        _ = record.Do(MoePluginStepKind.Trust, MoeCandidateState.Discovered, () => CheckPlace(file))
            && record.Do(MoePluginStepKind.Inspect, MoeCandidateState.Inspected, () => Inspect(record, file, checkId))
            && record.Do(MoePluginStepKind.Stage, MoeCandidateState.Staged, () => Stage(record, file))
            && Verify(record);
        return record;
    }

    /// <summary>Finds out whether the plugin's code may run in this process.</summary>
    public void Judge(FolderPlugin record) => _trials.Judge(record);

    /// <summary>Loads what was prepared.</summary>
    public void Load(FolderPlugin record)
    {
        if (record is { HasEnded: false, Staged: not null })
        {
            record.Do(MoePluginStepKind.Load, MoeCandidateState.Loaded, () => LoadCopy(record));
        }
    }

    private string CheckPlace(PluginFile file)
    {
        _trust.CheckPlace(file);
        return _trust.Pins ? $"Nobody else can write {file.Folder}." : $"{_trust.Setting} is {MoeTrust.Any}: any folder will do.";
    }

    private static string Inspect(FolderPlugin record, PluginFile file, Action<string> checkId)
    {
        PluginManifest manifest = PluginInspector.Inspect(file.MainAssembly);
        record.Id = manifest.Id;
        record.Version = manifest.Version;
        record.ContractVersion = manifest.Contract;
        checkId(manifest.Id);
        return $"It declares {manifest.Id} {manifest.Version}, entry type {manifest.EntryType}, contract {manifest.Contract}.";
    }

    private string Stage(FolderPlugin record, PluginFile file)
    {
        // Not before it is known to be a plugin: beside plugins lie folders of data too.
        record.Source = PluginContent.Read(file.Folder);
        record.Staged = _staging.Stage(record.Id, file.Folder, record.Source);

        // What is loaded is the copy: a file that was swapped after the first look is seen here.
        PluginManifest manifest = PluginInspector.Inspect(record.Staged.MainAssemblyOf(file));
        if (manifest.Id != record.Id || manifest.Version != record.Version)
        {
            throw new MoeException(
                MoeReason.Trust,
                $"The plugin was {record.Id} {record.Version} when it was inspected, and {manifest.Id} {manifest.Version} when it was copied.");
        }

        record.EntryType = manifest.EntryType;
        return $"It holds {record.Source.Files.Count} files, {record.Source.ByteCount} bytes, {record.Source.ShortHash}, copied to {record.Staged.Folder}.";
    }

    private bool Verify(FolderPlugin record) =>
        !_trust.Pins
        || record.Do(
            MoePluginStepKind.Verify,
            MoeCandidateState.Staged,
            () => _trust.Verify(record.Id, record.Version, record.Staged!.Content));

    private string LoadCopy(FolderPlugin record)
    {
        string main = record.Staged!.MainAssemblyOf(record.File!);
        string entryType = record.EntryType;
        ILoadedPlugin loaded = _loader.Load(main);
        record.Loaded = loaded;
        record.Entry = () => loaded.CreateEntry(entryType);
        return $"It was loaded from {main}.";
    }
}
