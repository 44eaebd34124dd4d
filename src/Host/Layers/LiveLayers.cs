using Microsoft.Extensions.Logging;

namespace Moe.Plugins;

/// <summary>The layers that a host made and that are not disposed, each with the selection that it came from.</summary>
internal sealed class LiveLayers(DeviceLosses losses, ILogger logger)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<MoeLayer, MoeSelectionReport> _layers = [];
    private bool _isClosed;

    public IReadOnlyList<MoeSelectionReport> Selections
    {
        get
        {
            lock (_lock)
            {
                return [.. _layers.Values];
            }
        }
    }

    /// <summary>Keeps a layer, and the plugin's backend as long as it. A layer that comes after the end is disposed.</summary>
    /// <exception cref="ObjectDisposedException">The host was disposed.</exception>
    public void Add(MoeLayer layer, PluginRecord plugin, MoeSelectionReport report)
    {
        plugin.Uses.Begin();
        layer.DeviceLost = (failed, exception) => Lose(failed.Device, exception);
        layer.Disposed = gone =>
        {
            lock (_lock)
            {
                _layers.Remove(gone);
            }

            plugin.Uses.End();
        };
        lock (_lock)
        {
            if (!_isClosed)
            {
                _layers.Add(layer, report);

                // Its device may have been lost while it was made.
                if (losses.Find(layer.Device) is string sentence)
                {
                    layer.Fail(new MoeException(MoeReason.ContextLost, sentence));
                }

                return;
            }
        }

        layer.Dispose();
        throw new ObjectDisposedException(nameof(MoeHost));
    }

    /// <summary>Marks every layer on a device whose context is lost.</summary>
    public void Lose(MoeDevice device, MoeException exception)
    {
        losses.Add(device, exception.Message);
        var failure = new MoeException(MoeReason.ContextLost, losses.Find(device)!, exception);
        HostLog.DeviceLost(logger, failure.Message);
        foreach (MoeLayer layer in Snapshot(layer => layer.Device == device))
        {
            layer.Fail(failure);
        }
    }

    /// <summary>Disposes all, and whatever comes later.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _isClosed = true;
        }

        foreach (MoeLayer layer in Snapshot(static _ => true))
        {
            try
            {
                layer.Dispose();
            }
            catch (Exception exception)
            {
                // One layer's backend that fails at freeing must not keep the others from it.
                HostLog.LayerNotDisposed(logger, Fault.Read(exception).Shown);
            }
        }
    }

    private MoeLayer[] Snapshot(Func<MoeLayer, bool> isMeant)
    {
        lock (_lock)
        {
            return [.. _layers.Keys.Where(isMeant)];
        }
    }
}
