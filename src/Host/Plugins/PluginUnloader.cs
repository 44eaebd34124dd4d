using Microsoft.Extensions.Logging;

namespace Moe.Plugins;

/// <summary>Disposes backends and unloads plugins once nobody uses them any more.</summary>
internal sealed class PluginUnloader(MoeOptions options, ILogger logger)
{
    /// <summary>Rounds of garbage collection before a version that was replaced long ago counts as kept.</summary>
    private const int Collections = 4;

    private readonly Lock _lock = new();
    private readonly List<Task> _retiring = [];
    private readonly List<(string Id, WeakReference Code)> _unloaded = [];

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
    public void Drain()
    {
        Task[] retiring;
        lock (_lock)
        {
            retiring = [.. _retiring];
        }

        Task.WaitAll(retiring);
    }

    // On a thread of its own, as all that may run a plugin's code: plugins can keep the thread pool busy.
    private Task UnloadAsync(PluginRecord plugin)
    {
        var done = new TaskCompletionSource();
        plugin.Uses.WhenUnused(() => new Thread(() =>
        {
            Unload(plugin);
            done.SetResult();
        })
        {
            IsBackground = true,
            Name = $"Moe.Plugins unloading of {plugin.Id}",
        }.Start());
        return done.Task;
    }

    private void Unload(PluginRecord plugin)
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
                var work = new Deadline<bool>(
                    $"Moe.Plugins disposing of {plugin.Id}",
                    () =>
                    {
                        backend.DisposeAsync().AsTask().GetAwaiter().GetResult();
                        return true;
                    });
                if (!work.TryGet(options.ActivationTimeout, out _))
                {
                    throw new TimeoutException($"Disposing its backend did not return within {options.ActivationTimeout.TotalSeconds:0.###} s.");
                }
            }
        }
        catch (Exception exception)
        {
            HostLog.DisposeFailed(logger, plugin.Id, Fault.Read(exception).Shown);
        }

        WeakReference? code = plugin.Code;
        plugin.Release();
        if (code is not null)
        {
            Watch(plugin.Id, code);
        }
    }

    // One may still be about to go. Each further one was unloaded by an earlier reload, and should be gone by now.
    private void Watch(string id, WeakReference code)
    {
        lock (_unloaded)
        {
            _unloaded.Add((id, code));
            int round = 0;
            while (round < Collections && CountOf(id) > 1 && TryCollect())
            {
                round++;
            }

            _unloaded.RemoveAll(static unloaded => !unloaded.Code.IsAlive);
            if (CountOf(id) is int count && count > 1)
            {
                HostLog.StillLoaded(logger, count, id);
            }
        }
    }

    // On another thread, as all that may run a plugin's code: its finalizer may never return.
    private bool TryCollect()
    {
        GC.Collect();
        var finalizers = new Thread(GC.WaitForPendingFinalizers) { IsBackground = true, Name = "Moe.Plugins wait for finalizers" };
        finalizers.Start();
        return finalizers.Join(options.ActivationTimeout);
    }

    private int CountOf(string id) => _unloaded.Count(unloaded => unloaded.Id == id && unloaded.Code.IsAlive);
}
