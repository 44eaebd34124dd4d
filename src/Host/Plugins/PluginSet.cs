namespace Moe.Plugins;

/// <summary>The plugins that a host offers now. A reload puts a new version in an old one's place; who holds a lease keeps what it saw.</summary>
internal sealed class PluginSet(IReadOnlyList<PluginRecord> plugins)
{
    private readonly Lock _lock = new();
    private IReadOnlyList<PluginRecord> _current = plugins;

    public IReadOnlyList<PluginRecord> Current => Volatile.Read(ref _current);

    /// <summary>Keeps the backends of this moment from being disposed until the lease is.</summary>
    public Lease Take()
    {
        lock (_lock)
        {
            foreach (PluginRecord plugin in _current)
            {
                plugin.Uses.Begin();
            }

            return new Lease(_current);
        }
    }

    /// <summary>Offers <paramref name="next"/> instead of <paramref name="old"/>, or besides the others where there was none.</summary>
    public void Replace(PluginRecord? old, PluginRecord next)
    {
        lock (_lock)
        {
            _current = old is null
                ? [.. _current, next]
                : [.. _current.Select(plugin => ReferenceEquals(plugin, old) ? next : plugin)];
        }

        old?.Uses.End();
    }

    internal sealed class Lease(IReadOnlyList<PluginRecord> plugins) : IDisposable
    {
        public IReadOnlyList<PluginRecord> Plugins => plugins;

        public void Dispose()
        {
            foreach (PluginRecord plugin in plugins)
            {
                plugin.Uses.End();
            }
        }
    }
}
