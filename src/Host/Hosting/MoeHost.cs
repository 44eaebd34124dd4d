using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Moe.Plugins;

/// <summary>
/// Finds and loads plugins, chooses a backend for each layer, and makes the layers. What is wrong with one plugin never stops another:
/// <see cref="Plugins"/> and <see cref="Explain"/> say what it is.
/// </summary>
/// <remarks>Thread-safe. Disposing it disposes the layers that it made, then the backends, and unloads the plugins.</remarks>
public sealed class MoeHost : IAsyncDisposable, IDisposable
{
    private readonly MoeOptions _options;
    private readonly ILogger _logger;
    private readonly PluginSet _plugins;
    private readonly PluginReloader _reloader;
    private readonly PluginUnloader _unloader;
    private readonly BackendSelector _selector;
    private readonly DeviceLosses _lost = new();
    private readonly SemaphoreSlim _reloading = new(1);
    private readonly Lock _lock = new();
    private readonly LiveLayers _layers;
    private bool _isDisposed;

    private MoeHost(MoeOptions options, ILoggerFactory loggers, IReadOnlyList<IPluginSource> sources)
    {
        _options = options;
        _logger = loggers.CreateLogger("Moe.Plugins.Host");
        IReadOnlyList<string> folders = [.. sources.SelectMany(static source => source.Folders)];
        var activator = new PluginActivator(options, loggers);
        _plugins = new PluginSet(PluginCatalog.Load(sources, activator));
        _unloader = new PluginUnloader(options, _logger);
        _reloader = new PluginReloader(_plugins, sources, activator, _unloader);
        _selector = new BackendSelector(options, folders, _lost);
        _layers = new LiveLayers(_lost, _logger);
        StartLog.Write(_logger, options, _plugins.Current, folders);
    }

    /// <summary>Every plugin that was found, in the order in which they were: what it is, how far it got, and why no further.</summary>
    public IReadOnlyList<MoePluginInfo> Plugins => [.. _plugins.Current.Select(static p => p.Describe())];

    /// <summary>Which backend was chosen for each layer that there is, and why.</summary>
    public IReadOnlyList<MoeSelectionReport> Selections => _layers.Selections;

    /// <summary>A sentence for each device whose context is lost: a restart of the process is the cure.</summary>
    public IReadOnlyList<string> LostDevices => [.. _lost.Sentences];

    /// <summary>
    /// Says which backend would run a layer, and what speaks against each other one. A plugin's fault is part of the answer.
    /// </summary>
    /// <exception cref="MoeException">The request's shape is none of a layer.</exception>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    public MoeSelectionReport Explain(MoeLayerRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
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
        ArgumentException.ThrowIfNullOrEmpty(id);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        return _plugins.Current.FirstOrDefault(plugin => !plugin.HasEnded && string.Equals(plugin.Id, id, StringComparison.OrdinalIgnoreCase))?.Backend;
    }

    /// <summary>Chooses a backend and makes the layer on it. Under <c>auto</c>, a backend that fails at it is followed by the next.</summary>
    /// <param name="request">The layer.</param>
    /// <param name="weights">The checkpoint's tensors; valid until the call returns.</param>
    /// <param name="progress">Told the share of the weights that is loaded, 0 to 1.</param>
    /// <param name="ct">Ends a long load early.</param>
    /// <exception cref="MoeSelectionException">No backend could be had; the report says why.</exception>
    /// <exception cref="MoeException">The shape, an option or the weights are wrong.</exception>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    public MoeLayer CreateLayer(
        MoeLayerRequest request,
        MoeWeightSource weights,
        IProgress<double>? progress = null,
        CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(weights);
        using Activity? activity = MoeTelemetry.Start("create layer");
        using PluginSet.Lease lease = Take();
        MoeSelectionReport report = _selector.Select(lease.Plugins, request);
        Exception? cause = null;
        while (report.Selected is { } selected)
        {
            try
            {
                PluginRecord plugin = lease.Plugins.First(p => p.Backend is not null && p.Id == selected.Id);
                MoeLayer layer = Make(plugin, selected, request, weights, progress, ct);
                _layers.Add(layer, plugin, report);
                MoeTelemetry.Selected(report);
                LogSelection(report);
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

    /// <summary>
    /// Takes what a plugin's folder holds now. New layers use it; those that there are go on with the version that they were made with,
    /// which is disposed and unloaded with the last of them. Where it cannot be used, the version before is kept, and the report and the
    /// log say why. A plugin that was not there when the host was made is loaded.
    /// </summary>
    /// <param name="id">The plugin's id.</param>
    /// <param name="ct">Ends the wait for a reload that is under way.</param>
    /// <exception cref="MoeException">No plugin has the id, or it is part of the program.</exception>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    public Task<MoeReloadReport> ReloadAsync(string id, CancellationToken ct = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(id);
        return ReloadAsync(reloader => Log(reloader.Reload(id)), ct);
    }

    /// <summary>
    /// Reloads, as <see cref="ReloadAsync"/> does, each plugin whose folder's content is not what it was at the last look, and loads
    /// those that were added. To be called now and then: contents are compared, so it sees every way of deploying on every file system.
    /// </summary>
    /// <returns>A report for each plugin that was looked at again; empty where nothing changed.</returns>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    public Task<IReadOnlyList<MoeReloadReport>> ReloadChangedAsync(CancellationToken ct = default) =>
        ReloadAsync<IReadOnlyList<MoeReloadReport>>(reloader => [.. reloader.ReloadChanged().Select(Log)], ct);

    /// <summary>Disposes the layers that the host made, then the backends, and unloads the plugins.</summary>
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
        ValidateOptionsResult valid = new MoeOptionsValidator().Validate(name: null, options);
        return valid.Failed
            ? throw new MoeException(MoeReason.Configuration, string.Join(' ', valid.Failures))
            : new MoeHost(options, loggers ?? NullLoggerFactory.Instance, [.. sources.Select(source => source(options))]);
    }

    private static MoeLayer Make(
        PluginRecord plugin,
        MoeCandidate selected,
        MoeLayerRequest request,
        MoeWeightSource weights,
        IProgress<double>? progress,
        CancellationToken ct)
    {
        IMoeBackend backend = plugin.Backend!;
        var probed = new MoeProbeRequest
        {
            Shape = request.Shape,
            Device = selected.Device,
            InputType = request.Options.InputType,
            OutputType = request.Options.OutputType,
        };
        IMoeQuantMethod method = PluginOwner.Call(plugin.Owner, "making a method", () => backend.CreateQuantMethod(probed), ct);
        try
        {
            return MoeLayer.Create(plugin.Owner, method, request.Shape, weights, request.Options, progress, ct);
        }
        catch
        {
            // What it throws now must not hide why the layer could not be made.
            Fault.Ignore(method.Dispose);
            throw;
        }
    }

    private PluginSet.Lease Take()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return _plugins.Take();
        }
    }

    private Task<T> ReloadAsync<T>(Func<PluginReloader, T> reload, CancellationToken ct) => OnThread(() =>
    {
        _reloading.Wait(ct);
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
    });

    // Not one of the pool, whose threads plugins may all keep.
    private static Task<T> OnThread<T>(Func<T> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

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
