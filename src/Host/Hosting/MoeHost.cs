using System.Diagnostics.CodeAnalysis;
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
    private readonly IReadOnlyList<PluginRecord> _plugins;
    private readonly BackendSelector _selector;
    private readonly Lock _lock = new();
    private readonly HashSet<MoeLayer> _layers = [];
    private bool _isDisposed;

    private MoeHost(MoeOptions options, ILoggerFactory loggers, IEnumerable<CompiledInPlugin> compiledIn, IPluginLoader? loader)
    {
        _options = options;
        _logger = loggers.CreateLogger("Moe.Plugins.Host");
        IReadOnlyList<string> folders = loader is null ? [] : PluginFinder.ResolveFolders(options.PluginFolders);
        _plugins = PluginCatalog.Load(options, folders, compiledIn, loader, loggers);
        _selector = new BackendSelector(options, _plugins, folders);
        LogPlugins();
        LogUnknownBackends(folders);
    }

    /// <summary>Every plugin that was found, in the order in which they were: what it is, how far it got, and why no further.</summary>
    public IReadOnlyList<MoePluginInfo> Plugins => [.. _plugins.Select(static p => p.Describe())];

    /// <summary>Makes a host without dependency injection: finds, loads and activates every plugin.</summary>
    /// <param name="options">Where to look and what to prefer.</param>
    /// <param name="loggerFactory">Where messages go; null for nowhere.</param>
    /// <exception cref="MoeException">An option is wrong.</exception>
    [RequiresUnreferencedCode(McMasterPluginLoader.Reason)]
    [RequiresDynamicCode(McMasterPluginLoader.Reason)]
    public static MoeHost Create(MoeOptions options, ILoggerFactory? loggerFactory = null) =>
        Create(options, loggerFactory, [], new McMasterPluginLoader());

    /// <summary>
    /// Says which backend would run a layer, and what speaks against each other one. A plugin's fault is part of the answer.
    /// </summary>
    /// <exception cref="MoeException">The request's shape is none of a layer.</exception>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    public MoeSelectionReport Explain(MoeLayerRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        return _selector.Select(request);
    }

    /// <summary>
    /// A backend as its plugin made it, for tools that ask for its optional interfaces (<see cref="IMoeKernelCatalog"/>,
    /// <see cref="IMoeInstrumentedBackend"/>); null where no plugin of that id is usable.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    public IMoeBackend? FindBackend(string id)
    {
        ArgumentException.ThrowIfNullOrEmpty(id);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        return _plugins.FirstOrDefault(plugin => !plugin.HasEnded && string.Equals(plugin.Id, id, StringComparison.OrdinalIgnoreCase))?.Backend;
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
        MoeSelectionReport report = Explain(request);
        Exception? cause = null;
        while (report.Selected is { } selected)
        {
            try
            {
                MoeLayer layer = Make(selected, request, weights, progress, ct);
                LogSelection(report);
                return layer;
            }
            catch (MoePluginException exception)
            {
                // The plugin's fault. A wrong checkpoint is the caller's, and no other backend would do better.
                HostLog.LayerFailed(_logger, selected.Id, exception);
                cause = exception;
                report = _selector.SelectNext(report, exception);
            }
        }

        HostLog.NothingSelected(_logger, report.Sentence);
        throw new MoeSelectionException(report, cause);
    }

    /// <summary>Disposes the layers that the host made, then the backends, and unloads the plugins.</summary>
    public async ValueTask DisposeAsync()
    {
        MoeLayer[] layers;
        lock (_lock)
        {
            if (_isDisposed)
            {
                return;
            }

            _isDisposed = true;
            layers = [.. _layers];
        }

        foreach (MoeLayer layer in layers)
        {
            layer.Dispose();
        }

        foreach (PluginRecord plugin in _plugins)
        {
            await UnloadAsync(plugin).ConfigureAwait(false);
        }
    }

    /// <summary>The same as <see cref="DisposeAsync"/>, for containers that know no other.</summary>
    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    internal static MoeHost Create(
        MoeOptions options,
        ILoggerFactory? loggers,
        IEnumerable<CompiledInPlugin> compiledIn,
        IPluginLoader? loader)
    {
        ArgumentNullException.ThrowIfNull(options);
        ValidateOptionsResult valid = new MoeOptionsValidator().Validate(name: null, options);
        return valid.Failed
            ? throw new MoeException(MoeReason.Configuration, string.Join(' ', valid.Failures))
            : new MoeHost(options, loggers ?? NullLoggerFactory.Instance, compiledIn, loader);
    }

    private MoeLayer Make(
        MoeCandidate selected,
        MoeLayerRequest request,
        MoeWeightSource weights,
        IProgress<double>? progress,
        CancellationToken ct)
    {
        PluginRecord plugin = _plugins.First(p => p.Backend is not null && p.Id == selected.Id);
        IMoeBackend backend = plugin.Backend!;
        var probed = new MoeProbeRequest
        {
            Shape = request.Shape,
            Device = selected.Device,
            InputType = request.Options.InputType,
            OutputType = request.Options.OutputType,
        };
        IMoeQuantMethod method = PluginOwner.Call(plugin.Owner, "making a method", () => backend.CreateQuantMethod(probed));
        try
        {
            MoeLayer layer = MoeLayer.Create(plugin.Owner, method, request.Shape, weights, request.Options, progress, ct);
            Keep(layer);
            return layer;
        }
        catch
        {
            method.Dispose();
            throw;
        }
    }

    private void Keep(MoeLayer layer)
    {
        layer.Disposed = gone =>
        {
            lock (_lock)
            {
                _layers.Remove(gone);
            }
        };
        lock (_lock)
        {
            if (!_isDisposed)
            {
                _layers.Add(layer);
                return;
            }
        }

        layer.Dispose();
        throw new ObjectDisposedException(nameof(MoeHost));
    }

    private async ValueTask UnloadAsync(PluginRecord plugin)
    {
        // The thread that never came back is still in the plugin's code: what it stands on stays.
        if (plugin.State == MoeCandidateState.TimedOut)
        {
            return;
        }

        try
        {
            if (plugin.Backend is { } backend)
            {
                await backend.DisposeAsync().AsTask().WaitAsync(_options.ActivationTimeout).ConfigureAwait(false);
            }
        }
        catch (Exception exception)
        {
            HostLog.DisposeFailed(_logger, plugin.Id, exception);
        }

        plugin.Loaded?.Dispose();
        plugin.Release();
    }

    private void LogPlugins()
    {
        foreach (PluginRecord plugin in _plugins)
        {
            if (plugin.HasEnded)
            {
                HostLog.PluginEnded(_logger, plugin.Id, plugin.Path, plugin.State, plugin.Reason, plugin.Message);
            }
            else
            {
                HostLog.PluginActive(_logger, plugin.Id, plugin.Version, plugin.Path);
            }
        }
    }

    // A mistyped name is said at once, not when the first layer asks for it.
    private void LogUnknownBackends(IReadOnlyList<string> folders)
    {
        string[] found = [.. _plugins.Select(p => p.Id)];
        foreach ((string source, string id, bool isNamed) in ConfiguredBackends.Of(_options))
        {
            if (found.Contains(id, StringComparer.OrdinalIgnoreCase))
            {
                continue;
            }

            string sentence = UnknownBackend.Describe(id, source, found, folders);
            if (isNamed)
            {
                HostLog.UnknownBackendNamed(_logger, sentence);
            }
            else
            {
                HostLog.UnknownBackendInOrder(_logger, sentence);
            }
        }
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
