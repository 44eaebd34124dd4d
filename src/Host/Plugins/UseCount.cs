namespace Moe.Plugins;

/// <summary>
/// Counts who uses something, so that it can go once the last one is done. It begins with one use: that of whoever offers it to others.
/// </summary>
internal sealed class UseCount
{
    private readonly TaskCompletionSource _unused = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _count = 1;

    /// <summary>Done when the last use has ended; none may begin after that.</summary>
    public Task Unused => _unused.Task;

    /// <summary>Begins a use; the caller must know that one is going on.</summary>
    public void Begin() => Interlocked.Increment(ref _count);

    public void End()
    {
        if (Interlocked.Decrement(ref _count) == 0)
        {
            _unused.SetResult();
        }
    }
}
