using Microsoft.Extensions.Logging;

namespace Moe.Plugins;

/// <summary>Disposes backends and unloads plugins once nobody uses them any more.</summary>
internal sealed class PluginUnloader(MoeOptions options, ILogger logger)
{
    private readonly Lock _lock = new();
    private readonly List<Task> _retiring = [];

    /// <summary>Unloads a plugin that is offered no more when its last use ends.</summary>
    public void Retire(PluginRecord plugin)
    {
        lock (_lock)
        {
            _retiring.RemoveAll(static task => task.IsCompleted);
            _retiring.Add(UnloadAsync(plugin));
        }
    }

    /// <summary>Unloads a plugin that was never offered.</summary>
    public void Discard(PluginRecord plugin)
    {
        plugin.Uses.End();
        Retire(plugin);
    }

    /// <summary>Waits until everything that was retired is unloaded.</summary>
    public Task DrainAsync()
    {
        lock (_lock)
        {
            return Task.WhenAll(_retiring);
        }
    }

    private async Task UnloadAsync(PluginRecord plugin)
    {
        await plugin.Uses.Unused.ConfigureAwait(false);

        // The thread that never came back is still in the plugin's code: what it stands on stays.
        if (plugin.State == MoeCandidateState.TimedOut)
        {
            return;
        }

        try
        {
            if (plugin.Backend is { } backend)
            {
                // On another thread: one that never comes back costs the wait and no more.
                await Task.Run(() => backend.DisposeAsync().AsTask()).WaitAsync(options.ActivationTimeout).ConfigureAwait(false);
            }
        }
        catch (Exception exception)
        {
            HostLog.DisposeFailed(logger, plugin.Id, exception);
        }

        plugin.Release();
    }
}
