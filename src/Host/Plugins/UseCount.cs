namespace Moe.Plugins;

/// <summary>
/// Counts who uses something, so that it can go once the last one is done. It begins with one use: that of whoever offers it to others.
/// </summary>
internal sealed class UseCount
{
    private readonly Lock _lock = new();
    private Action? _whenUnused;
    private int _count = 1;

    /// <summary>Begins a use; the caller must know that one is going on.</summary>
    public void Begin()
    {
        lock (_lock)
        {
            _count++;
        }
    }

    public void End()
    {
        Action? whenUnused;
        lock (_lock)
        {
            whenUnused = --_count == 0 ? _whenUnused : null;
        }

        whenUnused?.Invoke();
    }

    /// <summary>Has something done when the last use has ended, by whoever ends it; at once where that was so already.</summary>
    public void WhenUnused(Action action)
    {
        bool isUnused;
        lock (_lock)
        {
            _whenUnused = action;
            isUnused = _count == 0;
        }

        if (isUnused)
        {
            action();
        }
    }
}
