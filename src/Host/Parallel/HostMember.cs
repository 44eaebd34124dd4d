using System.Runtime.ExceptionServices;

namespace Moe.Plugins;

/// <summary>
/// A plugin's member of a group. What the contract lets it throw is handed on, for the group's words name the rank that failed; anything else is wrapped
/// with the plugin's name.
/// </summary>
internal sealed class HostMember : IMoeCommunicator
{
    private readonly IMoeCommunicator _member;
    private readonly PluginOwner _owner;

    /// <summary>Reads once what does not change.</summary>
    /// <exception cref="MoePluginException">The member is null, or it threw or returned null for what it must say.</exception>
    public HostMember(IMoeCommunicator? member, PluginOwner owner, LayerLedger layers)
    {
        _owner = owner;
        Layers = layers;
        (_member, Rank, Count, Device, Memory, Request) = PluginOwner.Call(owner, "making a group", () => (
            HostGroup.Require(member, "a member"),
            member!.Rank,
            member.Count,
            member.Device,
            HostGroup.Require(member.Memory, $"{nameof(IMoeCommunicator)}.{nameof(Memory)}"),
            HostGroup.Require(member.Request, $"{nameof(IMoeCommunicator)}.{nameof(Request)}")));
    }

    /// <summary>Of the group.</summary>
    public LayerLedger Layers { get; }

    public int Rank { get; }

    public int Count { get; }

    public MoeDevice Device { get; }

    public IMoeMemory Memory { get; }

    public MoeGroupRequest Request { get; }

    public MoeException? Failure
    {
        get
        {
            try
            {
                return HostGroup.Word(_owner, _member.Failure);
            }
            catch (Exception exception)
            {
                return HostGroup.NoWord(_owner, exception);
            }
        }
    }

    public MoePartial LendPartial(int rows)
    {
        try
        {
            return _member.LendPartial(rows);
        }
        catch (Exception exception)
        {
            throw Explain(exception);
        }
    }

    public void AllReduce(MoeReduceArguments arguments)
    {
        try
        {
            _member.AllReduce(arguments);
        }
        catch (Exception exception)
        {
            throw Explain(exception);
        }
    }

    public void ReduceAddNorm(MoeReduceAddNormArguments arguments)
    {
        try
        {
            _member.ReduceAddNorm(arguments);
        }
        catch (Exception exception)
        {
            throw Explain(exception);
        }
    }

    public void AllGather(MoeGatherArguments arguments)
    {
        try
        {
            _member.AllGather(arguments);
        }
        catch (Exception exception)
        {
            throw Explain(exception);
        }
    }

    public bool GainsByRouting(int rows, int topK, int tensorCount)
    {
        try
        {
            return _member.GainsByRouting(rows, topK, tensorCount);
        }
        catch (Exception exception)
        {
            throw Explain(exception);
        }
    }

    public void ReduceScatter(MoeReduceArguments arguments)
    {
        try
        {
            _member.ReduceScatter(arguments);
        }
        catch (Exception exception)
        {
            throw Explain(exception);
        }
    }

    public void Abort(string why) => HostGroup.Call(_owner, "ending a group", () => _member.Abort(why));

    private MoePluginException Explain(Exception exception)
    {
        Fault fault = Fault.Read(exception);
        bool isPromised = exception is ArgumentException or InvalidOperationException or MoeException && ReferenceEquals(fault.Shown, exception);
        if (isPromised)
        {
            ExceptionDispatchInfo.Throw(exception);
        }

        return _owner.Wrap(fault, "exchanging with other ranks");
    }
}
