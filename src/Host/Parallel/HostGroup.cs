namespace Moe.Plugins;

/// <summary>A plugin's group, which keeps the plugin loaded, and what is disposed behind it.</summary>
internal sealed class HostGroup : IMoeGroup
{
    private readonly IMoeGroup _group;
    private readonly PluginRecord _plugin;
    private readonly Action<HostGroup> _disposed;
    private readonly IDisposable? _owned;
    private int _isDisposed;

    /// <summary>Looks at what a plugin made, and takes a use of the plugin.</summary>
    /// <param name="group">What it made.</param>
    /// <param name="plugin">The plugin.</param>
    /// <param name="ranks">Members that were asked for.</param>
    /// <param name="disposed">Told when the group is disposed.</param>
    /// <param name="owned">Disposed behind the group; null for nothing.</param>
    /// <exception cref="MoePluginException">Its members are not what was asked for.</exception>
    public HostGroup(IMoeGroup group, PluginRecord plugin, int ranks, Action<HostGroup> disposed, IDisposable? owned)
    {
        (_group, _plugin, _disposed, _owned) = (group, plugin, disposed, owned);
        IMoeCommunicator?[] members = PluginOwner.Call(plugin.Owner, "making a group", () =>
        {
            IMoeCommunicator?[] made = [.. Require(group.Members, $"{nameof(IMoeGroup)}.{nameof(Members)}")];
            return made.Length == ranks ? made : throw new MoeException(MoeReason.ContractBroken, $"Its group has {made.Length} members; {ranks} were asked for.");
        });
        var layers = new LayerLedger(ranks, Abort);
        Members = [.. members.Select(member => new HostMember(member, plugin.Owner, layers))];
        plugin.Uses.Begin();
    }

    public IReadOnlyList<IMoeCommunicator> Members { get; }

    public MoeException? Failure
    {
        get
        {
            try
            {
                return Word(_plugin.Owner, _group.Failure);
            }
            catch (Exception exception)
            {
                return NoWord(_plugin.Owner, exception);
            }
        }
    }

    public void Abort(string why) => Call(_plugin.Owner, "ending a group", () => _group.Abort(why));

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return;
        }

        try
        {
            Call(_plugin.Owner, "freeing a group", _group.Dispose);
        }
        finally
        {
            _plugin.Uses.End();
            _owned?.Dispose();
            _disposed(this);
        }
    }

    /// <summary>Why a group has ended, as its plugin says.</summary>
    internal static MoeException? Word(PluginOwner owner, MoeException? said) =>
        said is null || (Fault.Read(said) is var fault && ReferenceEquals(fault.Shown, said)) ? said : owner.Wrap(fault, "being in a group, which has ended");

    /// <summary>A plugin that cannot even say why its group has ended has failed itself.</summary>
    internal static MoePluginException NoWord(PluginOwner owner, Exception exception) => owner.Wrap(exception, "saying why its group has ended");

    internal static void Call(PluginOwner owner, string doing, Action call) => PluginOwner.Call(owner, doing, () =>
    {
        call();
        return true;
    });

    internal static T Require<T>(T? value, string member)
        where T : class =>
        value ?? throw new MoeException(MoeReason.ContractBroken, $"{member} is null.");
}
