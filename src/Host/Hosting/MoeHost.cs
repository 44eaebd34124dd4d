using System.Diagnostics;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Moe.Plugins;

/// <summary>
/// Finds and loads plugins, chooses a backend for each layer, and makes the layers. What is wrong with one plugin never stops another:
/// <see cref="Plugins"/> and <see cref="Explain"/> say what it is.
/// </summary>
/// <remarks>Thread-safe. Disposing it disposes the layers and groups that it made, then the backends, and unloads the plugins.</remarks>
public sealed class MoeHost : IMoeHost, IAsyncDisposable, IDisposable
{
    private readonly MoeOptions _options;
    private readonly ILogger _logger;
    private readonly IReadOnlyList<string> _folders;
    private readonly PluginSet _plugins;
    private readonly PluginReloader _reloader;
    private readonly PluginUnloader _unloader;
    private readonly BackendSelector _selector;
    private readonly DeviceLosses _lost = new();
    private readonly SemaphoreSlim _reloading = new(1);
    private readonly Lock _lock = new();
    private readonly LiveLayers _layers;
    private readonly LiveGroups _groups;
    private readonly LaunchedRank? _launched;
    private readonly Lazy<MoeRanks> _ranks;
    private bool _isDisposed;

    private MoeHost(MoeOptions options, ILoggerFactory loggers, IReadOnlyList<IPluginSource> sources)
    {
        _options = options;
        _launched = options.Parallel.Launcher == MoeLauncher.None
            ? null
            : LaunchedRank.Read(
                options.Parallel, options.PathOf(nameof(MoeOptions.Parallel), nameof(MoeParallelOptions.Launcher)), Environment.GetEnvironmentVariable);
        _ranks = new Lazy<MoeRanks>(MakeRanks);
        _logger = loggers.CreateLogger("Moe.Plugins.Host");
        _folders = [.. sources.SelectMany(static source => source.Folders)];
        var activator = new PluginActivator(options, loggers);
        _plugins = new PluginSet(PluginCatalog.Load(sources, activator));
        _unloader = new PluginUnloader(options, _logger);
        _reloader = new PluginReloader(_plugins, sources, activator, _unloader);
        _selector = new BackendSelector(options, _folders, _lost);
        _layers = new LiveLayers(_lost, _logger);
        _groups = new LiveGroups(options);
        StartLog.Write(_logger, options, _plugins.Current, _folders);
    }

    /// <inheritdoc/>
    public IReadOnlyList<MoePluginInfo> Plugins => [.. _plugins.Current.Select(static p => p.Describe())];

    /// <inheritdoc/>
    public IReadOnlyList<MoeSelectionReport> Selections => _layers.Selections;

    /// <inheritdoc/>
    public MoeRanks Ranks => _ranks.Value;

    /// <inheritdoc/>
    public IReadOnlyList<string> LostDevices => [.. _lost.Sentences];

    /// <summary>
    /// A sentence for each option that names a backend which is not there (<see cref="MoeOptions.Backend"/> and <see cref="MoeOptions.Layers"/>; what
    /// <see cref="MoeOptions.Order"/> only prefers may be missing): its key, and the backends that there are. Layers that it counts for cannot be made.
    /// </summary>
    public IReadOnlyList<string> UnknownBackends =>
    [
        .. ConfiguredBackends.Unknown(_options, [.. _plugins.Current.Select(static p => p.Id)], _folders)
            .Where(static unknown => unknown.IsNamed)
            .Select(static unknown => unknown.Sentence),
    ];

    /// <inheritdoc/>
    public MoeSelectionReport Explain(MoeLayerRequest request)
    {
        Check(request);
        using PluginSet.Lease lease = Take();
        return _selector.Select(lease.Plugins, request);
    }

    /// <summary>
    /// A backend as its plugin made it, for tools that ask for its optional interfaces (<see cref="IMoeKernelCatalog"/>,
    /// <see cref="IMoeInstrumentedBackend"/>); null where no plugin of that id is usable. It is valid until the plugin is reloaded.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    public IMoeBackend? FindBackend(string id)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(id);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        return _plugins.Current.FirstOrDefault(plugin => !plugin.HasEnded && string.Equals(plugin.Id, id, StringComparison.OrdinalIgnoreCase))?.Backend;
    }

    /// <inheritdoc cref="IMoeHost.CreateLayer"/>
    public MoeLayer CreateLayer(
        MoeLayerRequest request,
        MoeWeightSource weights,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(weights);
        Check(request);
        using MoeTelemetry.Work activity = MoeTelemetry.Start("create layer");
        using PluginSet.Lease lease = Take();
        request = Ranks.Place(request);
        MoeSelectionReport report = _selector.Select(lease.Plugins, request);
        Exception? cause = null;
        while (report.Selected is { } selected)
        {
            try
            {
                PluginRecord plugin = lease.Plugins.First(p => p.Backend is not null && p.Id == selected.Id);
                MoeLayer layer = Make(plugin, selected, request, weights, progress, cancellationToken);
                layer.Name = request.Name;
                layer.Outdated = () => !_plugins.Current.Contains(plugin);
                _layers.Add(layer, plugin, report);
                MoeTelemetry.Selected(report);
                LogSelection(report);
                if (layer.WeightRemark is { } remark)
                {
                    HostLog.WeightsRemarked(_logger, selected.Id, remark);
                }

                return layer;
            }
            catch (MoePluginException exception)
            {
                // The plugin's fault. A wrong checkpoint is the caller's, and no other backend would do better.
                HostLog.LayerFailed(_logger, selected.Id, exception);
                if (exception.Reason == MoeReason.ContextLost)
                {
                    _layers.Lose(selected.Device!.Value, exception);
                }

                cause = exception;
                report = _selector.SelectNext(report, exception);
            }
        }

        HostLog.NothingSelected(_logger, report.Sentence);
        throw new MoeSelectionException(report, cause);
    }

    /// <inheritdoc/>
    public IMoeGroup CreateGroup(MoeGroupRequest request, string? backend = null)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentCheck.ThrowIfBlank(backend);
        using PluginSet.Lease lease = Take();
        return _groups.Create(lease.Plugins, request, backend);
    }

    /// <inheritdoc/>
    public IMoeGroup CreateGroupFor(MoeLayerRequest layer, string? backend = null)
    {
        ArgumentCheck.ThrowIfBlank(backend);
        Check(layer);
        long maxTokens = (long)layer.Options.MaxTokens * (layer.Options.DispatchTokens ? Ranks.Count : 1);
        if (maxTokens > int.MaxValue)
        {
            throw new MoeException(MoeReason.Configuration, $"{nameof(layer.Options.MaxTokens)} is {layer.Options.MaxTokens} on each of {Ranks.Count} ranks; at most {int.MaxValue} of all are expected.");
        }

        using PluginSet.Lease lease = Take();
        MoeRendezvous? rendezvous = _launched is null ? null : MoeRendezvous.Join(new MoeRendezvousOptions
        {
            Address = _launched.Address,
            Port = _launched.Port,
            Rank = _launched.Rank,
            Count = _launched.Count,
            Job = _launched.Job,
            Timeout = Ranks.Timeout,
        });
        try
        {
            var request = new MoeGroupRequest
            {
                Devices = Ranks.Count == 1 && layer.Device is { } device ? [device] : Ranks.Devices,
                MaxTokens = (int)maxTokens,
                Width = layer.Shape.HiddenSize,
                ElementType = layer.Options.OutputType,
                Timeout = Ranks.Timeout,
                Rendezvous = rendezvous,
            };
            return _groups.Create(lease.Plugins, request, backend, rendezvous);
        }
        catch
        {
            rendezvous?.Dispose();
            throw;
        }
    }

    IMoeLayer IMoeHost.CreateLayer(
        MoeLayerRequest request, MoeWeightSource weights, IProgress<double>? progress, CancellationToken cancellationToken) =>
        CreateLayer(request, weights, progress, cancellationToken);

    /// <inheritdoc cref="IMoeHost.CreateLayerAsync"/>
    public Task<MoeLayer> CreateLayerAsync(
        MoeLayerRequest request,
        MoeWeightSource weights,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(weights);
        Check(request);
        return OnThread(() => CreateLayer(request, weights, progress, cancellationToken), cancellationToken);
    }

    async Task<IMoeLayer> IMoeHost.CreateLayerAsync(
        MoeLayerRequest request, MoeWeightSource weights, IProgress<double>? progress, CancellationToken cancellationToken) =>
        await CreateLayerAsync(request, weights, progress, cancellationToken).ConfigureAwait(false);

    /// <inheritdoc/>
    public Task<MoeReloadReport> ReloadAsync(string id, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(id);
        return ReloadAsync(reloader => Log(reloader.Reload(id)), cancellationToken);
    }

    /// <inheritdoc/>
    public Task<IReadOnlyList<MoeReloadReport>> ReloadChangedAsync(CancellationToken cancellationToken = default) =>
        ReloadAsync<IReadOnlyList<MoeReloadReport>>(reloader => [.. reloader.ReloadChanged().Select(Log)], cancellationToken);

    /// <summary>Disposes the layers and groups that the host made, then the backends, and unloads the plugins.</summary>
    public ValueTask DisposeAsync() => new(OnThread(() =>
    {
        Dispose();
        return true;
    }));

    /// <summary>The same as <see cref="DisposeAsync"/>, for containers that know no other.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_isDisposed)
            {
                return;
            }

            _isDisposed = true;
        }

        foreach (string sentence in _selector.DescribeUnusedPatterns())
        {
            HostLog.PatternUnused(_logger, sentence);
        }

        _layers.Close();
        _groups.Close();

        // A reload that is under way ends first; none begins any more.
        _reloading.Wait();
        _reloading.Release();
        foreach (PluginRecord plugin in _plugins.Current)
        {
            _unloader.Discard(plugin);
        }

        _unloader.Drain();
    }

    internal static MoeHost Create(MoeOptions options, ILoggerFactory? loggers, IEnumerable<Func<MoeOptions, IPluginSource>> sources)
    {
        ArgumentNullException.ThrowIfNull(options);
        MoeOptionsValidator.Check(options);
        return new MoeHost(options, loggers ?? NullLoggerFactory.Instance, [.. sources.Select(source => source(options))]);
    }

    private static void Check(MoeLayerRequest request, [CallerArgumentExpression(nameof(request))] string name = "")
    {
        ArgumentNullException.ThrowIfNull(request, name);
        ArgumentNullException.ThrowIfNull(request.Name, $"{name}.{nameof(request.Name)}");
        ArgumentNullException.ThrowIfNull(request.Shape, $"{name}.{nameof(request.Shape)}");
        ArgumentNullException.ThrowIfNull(request.Options, $"{name}.{nameof(request.Options)}");
        ArgumentNullException.ThrowIfNull(request.Options.Part, $"{name}.{nameof(request.Options)}.{nameof(request.Options.Part)}");
        ArgumentCheck.ThrowIfBlank(request.Backend, $"{name}.{nameof(request.Backend)}");
        ArgumentCheck.ThrowIfBlank(request.NamedBy, $"{name}.{nameof(request.NamedBy)}");

        if (request.Rank is { } rank)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(rank, $"{name}.{nameof(request.Rank)}");
        }

        request.Shape.Validate();
    }

    private static MoeLayer Make(
        PluginRecord plugin,
        MoeCandidate selected,
        MoeLayerRequest request,
        MoeWeightSource weights,
        IProgress<double>? progress,
        CancellationToken cancellationToken)
    {
        IMoeBackend backend = plugin.Backend!;
        var probed = new MoeProbeRequest
        {
            Shape = request.Shape,
            Device = selected.Device,
            InputType = request.Options.InputType,
            OutputType = request.Options.OutputType,
        };
        IMoeQuantMethod method = PluginOwner.Call(plugin.Owner, "making a method", () => backend.CreateQuantMethod(probed)
            ?? throw new MoeException(MoeReason.ContractBroken, $"{nameof(IMoeBackend)}.{nameof(IMoeBackend.CreateQuantMethod)} returned null."), cancellationToken);
        try
        {
            // Layers of a device fail together, and callers put their tensors where the layer's memory is.
            PluginOwner.Call(plugin.Owner, "telling its memory", () => RequireDevice(method, selected.Device!.Value), cancellationToken);
            return MoeLayer.Create(plugin.Owner, method, request.Shape, weights, request.Options, progress, cancellationToken);
        }
        catch
        {
            // What it throws now must not hide why the layer could not be made.
            Fault.Ignore(method.Dispose);
            throw;
        }
    }

    private static MoeDevice RequireDevice(IMoeQuantMethod method, MoeDevice selected) => method.Memory?.Device is { } device && device != selected
        ? throw new MoeException(MoeReason.ContractBroken, $"Its probe said that it runs on {selected}, and its memory is on {device}.")
        : selected;

    private MoeRanks MakeRanks()
    {
        MoeParallelOptions parallel = _options.Parallel;
        MoeDevice[] named = [.. parallel.Devices.Select(text => MoeDevice.TryParse(text, out MoeDevice device) ? device : default)];
        MoeDevice first = named.Length > 0 ? named[0] : First();
        MoeDevice[] devices = _launched is { } launched
            ? [.. Enumerable.Repeat(DeviceOf(launched, named, first), parallel.Count)]
            : named.Length > 0 ? named : [.. Enumerable.Range(0, parallel.Count).Select(rank => From(first, rank))];
        return new MoeRanks(_options, _launched, devices);
    }

    private MoeDevice DeviceOf(LaunchedRank launched, MoeDevice[] named, MoeDevice first) => named.Length switch
    {
        0 => From(first, launched.LocalRank),
        1 => first,
        _ => launched.LocalRank < named.Length
            ? named[launched.LocalRank]
            : throw new MoeOptionsException(
                _options.PathOf(nameof(MoeOptions.Parallel), nameof(MoeParallelOptions.Devices)),
                $"has {named.Length}, and this process is number {launched.LocalRank} of its machine; a device for each of them is expected."),
    };

    // GPUs if a plugin has groups of them, also for more ranks than there are GPUs: those are to hear it, not to be on the processor alone.
    private MoeDevice First()
    {
        using PluginSet.Lease lease = Take();
        return _options.ParseDevice() ?? (_groups.CanJoin(lease.Plugins, MoeDevice.Cuda(0)) ? MoeDevice.Cuda(0) : MoeDevice.Cpu);
    }

    // GPUs from one on, a rank each; the processor is shared.
    private static MoeDevice From(MoeDevice first, int rank) => first.Kind == MoeDeviceKind.Cuda ? MoeDevice.Cuda(first.Ordinal + rank) : first;

    private PluginSet.Lease Take()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return _plugins.Take();
        }
    }

    private Task<T> ReloadAsync<T>(Func<PluginReloader, T> reload, CancellationToken cancellationToken) => OnThread(() =>
    {
        _reloading.Wait(cancellationToken);
        try
        {
            lock (_lock)
            {
                ObjectDisposedException.ThrowIf(_isDisposed, this);
            }

            return reload(_reloader);
        }
        finally
        {
            _reloading.Release();
        }
    }, cancellationToken);

    // Not one of the pool, whose threads plugins may all keep.
    private static Task<T> OnThread<T>(Func<T> work, CancellationToken cancellationToken = default) =>
        Task.Factory.StartNew(work, cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private MoeReloadReport Log(MoeReloadReport report)
    {
        MoeTelemetry.Reloaded(report);
        if (report.Outcome == MoeReloadOutcome.Kept)
        {
            HostLog.ReloadKept(_logger, report.Sentence);
        }
        else
        {
            HostLog.Reloaded(_logger, report.Sentence);
        }

        return report;
    }

    private void LogSelection(MoeSelectionReport report)
    {
        if (report.IsFallback && _options.Fallback == MoeFallback.Warn)
        {
            HostLog.FellBack(_logger, report.Sentence);
        }
        else
        {
            HostLog.Selected(_logger, report.Sentence);
        }
    }
}
