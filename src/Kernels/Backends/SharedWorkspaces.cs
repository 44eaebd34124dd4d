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
            return new Share(this, new Shared(make(), default));
        }

        (MoeLayerShape, MoeLayerOptions) key = (shape, options);
        lock (_lock)
        {
            if (!_shared.TryGetValue(key, out Shared? shared))
            {
                shared = new Shared(make(), key);
                _shared.Add(key, shared);
            }

            return new Share(this, shared);
        }
    }

    private void Give(Share share, Shared shared)
    {
        lock (_lock)
        {
            shared.Users.Remove(share);
            if (shared.Users.Count > 0)
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
    internal sealed class Share : IDisposable
    {
        private readonly SharedWorkspaces<T> _all;
        private readonly Shared _shared;
        private bool _isDisposed;

        public Share(SharedWorkspaces<T> all, Shared shared)
        {
            (_all, _shared) = (all, shared);
            lock (all._lock)
            {
                shared.Users.Add(this);
            }
        }

        /// <summary>The workspace.</summary>
        /// <exception cref="MoeException">A forward has failed in it.</exception>
        public T Workspace => _shared.IsSpoiled
            ? throw new MoeException(MoeReason.DeviceFailed, "A forward has failed in the memory that this state shares with others, and what it left there is not known: make the states anew.")
            : _shared.Workspace;

        /// <summary>Bytes of it, which are counted once: by the layer that has had it longest.</summary>
        public long ByteCount
        {
            get
            {
                lock (_all._lock)
                {
                    return _shared.Users.FirstOrDefault() == this ? _shared.Workspace.ByteCount : 0;
                }
            }
        }

        /// <summary>Keeps it from being used again.</summary>
        public void Spoil()
        {
            _shared.IsSpoiled = true;
            _all.Forget(_shared);
        }

        public void Dispose()
        {
            if (!_isDisposed)
            {
                _isDisposed = true;
                _all.Give(this, _shared);
            }
        }
    }

    /// <summary>A workspace, who has it, and whether a forward has failed in it.</summary>
    internal sealed class Shared(T workspace, (MoeLayerShape Shape, MoeLayerOptions Options) key)
    {
        public T Workspace { get; } = workspace;

        public (MoeLayerShape Shape, MoeLayerOptions Options) Key { get; } = key;

        /// <summary>Those who came first are first.</summary>
        public List<Share> Users { get; } = [];

        public bool IsSpoiled { get; set; }
    }
}
