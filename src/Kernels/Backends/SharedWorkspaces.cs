namespace Moe.Plugins.Kernels;

/// <summary>The workspaces of layers that take turns (<see cref="MoeTurns"/>): one for all that have the same sizes, freed with the last of them. Thread-safe.</summary>
/// <typeparam name="T">A workspace.</typeparam>
internal sealed class SharedWorkspaces<T>
    where T : DeviceArena
{
    private readonly Dictionary<(MoeLayerShape Shape, MoeLayerOptions Options), Shared> _shared = [];
    private readonly Lock _lock = new();

    /// <summary>A workspace for a layer: its own, or the one of those that it takes turns with.</summary>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="options">What the host decided.</param>
    /// <param name="make">Makes one.</param>
    public Share Take(MoeLayerShape shape, MoeLayerOptions options, Func<T> make)
    {
        if (options.Turns is null)
        {
            return new Share(this, new Shared(make(), default) { Users = 1 }, isMaker: true);
        }

        (MoeLayerShape, MoeLayerOptions) key = (shape, options);
        lock (_lock)
        {
            bool isFirst = !_shared.TryGetValue(key, out Shared? shared);
            if (isFirst)
            {
                shared = new Shared(make(), key);
                _shared.Add(key, shared);
            }

            shared!.Users++;
            return new Share(this, shared, isFirst);
        }
    }

    private void Give(Shared shared)
    {
        lock (_lock)
        {
            if (--shared.Users > 0)
            {
                return;
            }

            Forget(shared);
        }

        shared.Workspace.Dispose();
    }

    /// <summary>Whoever comes from now on gets another one.</summary>
    private void Forget(Shared shared)
    {
        lock (_lock)
        {
            if (_shared.TryGetValue(shared.Key, out Shared? known) && known == shared)
            {
                _shared.Remove(shared.Key);
            }
        }
    }

    /// <summary>A layer's share of a workspace.</summary>
    internal sealed class Share(SharedWorkspaces<T> all, Shared shared, bool isMaker) : IDisposable
    {
        private bool _isDisposed;

        /// <summary>The workspace.</summary>
        /// <exception cref="MoeException">A forward has failed in it.</exception>
        public T Workspace => shared.IsSpoiled
            ? throw new MoeException(MoeReason.DeviceFailed, "A forward has failed in the memory that this state shares with others, and what it left there is not known: make the states anew.")
            : shared.Workspace;

        /// <summary>Bytes of it, which are counted once.</summary>
        public long ByteCount => isMaker ? shared.Workspace.ByteCount : 0;

        /// <summary>Keeps it from being used again.</summary>
        public void Spoil()
        {
            shared.IsSpoiled = true;
            all.Forget(shared);
        }

        public void Dispose()
        {
            if (!_isDisposed)
            {
                _isDisposed = true;
                all.Give(shared);
            }
        }
    }

    /// <summary>A workspace, who has it, and whether a forward has failed in it.</summary>
    internal sealed class Shared(T workspace, (MoeLayerShape Shape, MoeLayerOptions Options) key)
    {
        public T Workspace { get; } = workspace;

        public (MoeLayerShape Shape, MoeLayerOptions Options) Key { get; } = key;

        public int Users { get; set; }

        public bool IsSpoiled { get; set; }
    }
}
