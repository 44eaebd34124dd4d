namespace Moe.Plugins;

/// <summary>A plugin's group, which keeps the plugin loaded, and what is disposed behind it.</summary>
internal sealed class HostGroup(IMoeGroup group, PluginRecord plugin, Action<HostGroup> disposed, IDisposable? owned) : IMoeGroup
{
    private int _isDisposed;

    public IReadOnlyList<IMoeCommunicator> Members => group.Members;

    public MoeException? Failure => group.Failure;

    public void Abort(string why) => group.Abort(why);

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return;
        }

        try
        {
            group.Dispose();
        }
        finally
        {
            plugin.Uses.End();
            owned?.Dispose();
            disposed(this);
        }
    }
}
