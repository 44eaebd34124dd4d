using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Collectives;

/// <summary>One rank's end of a group of devices, whatever carries its numbers.</summary>
internal abstract class CudaMember : IMoeCommunicator
{
    private readonly GroupLife _life;
    private readonly MoePartialBuffer _lent;
    private int _isBusy;

    /// <param name="life">The group's.</param>
    /// <param name="rank">This rank.</param>
    /// <param name="context">Of its device.</param>
    /// <param name="memory">The device's memory.</param>
    /// <param name="partial">Where the rank's part of the sums goes.</param>
    protected CudaMember(GroupLife life, int rank, CudaContext context, IMoeMemory memory, nint partial)
    {
        _life = life;
        Rank = rank;
        Context = context;
        Memory = memory;
        Partial = partial;
        _lent = new MoePartialBuffer(new MoeTensorView(partial, Device, Request.ElementType, Request.MaxTokens, Request.Width));
    }

    public int Rank { get; }

    public int Count => Request.Devices.Count;

    public MoeDevice Device => Request.Devices[Rank];

    public IMoeMemory Memory { get; }

    public MoeException? Failure => _life.Failure;

    public MoeGroupRequest Request => _life.Request;

    public CudaContext Context { get; }

    /// <summary>Where the rank's part of the sums is.</summary>
    public nint Partial { get; }

    /// <summary>The ways to sum that the group's trial tries, by name.</summary>
    public abstract IReadOnlyList<string> Ways { get; }

    public MoePartial LendPartial(int rows)
    {
        _life.ThrowIfEnded();
        return _lent.Lend(rows);
    }

    public void AllReduce(MoeReduceArguments arguments)
    {
        _life.ThrowIfEnded();
        var call = MoeGroupCall.AllReduce(this, _lent, arguments);
        arguments.Partial.Take();
        Make(call, (this, arguments), static (of, call) => of.Item1.Reduce(call.Rows, default, of.arguments.Output, of.arguments.Stream));
    }

    public void ReduceAddNorm(MoeReduceAddNormArguments arguments)
    {
        _life.ThrowIfEnded();
        var call = MoeGroupCall.ReduceAddNorm(this, _lent, arguments);
        arguments.Partial.Take();
        Make(call, (this, arguments), static (of, call) => of.Item1.Reduce(call.Rows, of.arguments.AddNorm, of.arguments.Output, of.arguments.Stream));
    }

    public void ReduceScatter(MoeReduceArguments arguments)
    {
        _life.ThrowIfEnded();
        var call = MoeGroupCall.ReduceScatter(this, _lent, arguments);
        arguments.Partial.Take();
        Make(call, (this, arguments), static (of, call) => of.Item1.Scatter(call.Rows / of.Item1.Count, of.arguments.Experts, of.arguments.Output, of.arguments.Stream));
    }

    public void AllGather(MoeGatherArguments arguments)
    {
        _life.ThrowIfEnded();
        var call = MoeGroupCall.AllGather(this, _lent, arguments);
        Make(call, (this, arguments), static (of, _) => of.Item1.Gather(of.arguments));
    }

    public virtual bool GainsByRouting(int rows, int topK, int tensorCount) => false;

    public void Abort(string why)
    {
        ArgumentNullException.ThrowIfNull(why);
        _life.End(MoeReason.PeerFailed, $"Rank {Rank} failed: {why}");
    }

    /// <summary>For the group's trial: sums the part that was written, one way.</summary>
    /// <param name="way">A place in <see cref="Ways"/>.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="output">Where the sums go, dense.</param>
    /// <param name="stream">The stream.</param>
    public abstract void Try(int way, int rows, nint output, nint stream);

    /// <summary>Sums rows, adds the residual and norms, where asked to. The context is current.</summary>
    protected abstract void Reduce(int rows, in MoeAddNorm addNorm, in MoeTensorView output, nint stream);

    /// <summary>Sums rows of which each rank gets its share, of all ranks or only of those that have a part. The context is current.</summary>
    protected abstract void Scatter(int rows, in MoeTokenExperts experts, in MoeTensorView output, nint stream);

    /// <summary>Gathers rows. The context is current.</summary>
    protected abstract void Gather(in MoeGatherArguments arguments);

    // Not a closure: a forward allocates nothing.
    private void Make<T>(in MoeGroupCall call, T state, Action<T, MoeGroupCall> enqueue)
    {
        if (Interlocked.Exchange(ref _isBusy, 1) != 0)
        {
            throw new InvalidOperationException($"Another thread is making a call of rank {Rank}. A rank makes one call at a time.");
        }

        try
        {
            _life.Begin(Rank, call);
            using CudaContextScope scope = Context.MakeCurrent();
            enqueue(state, call);
            _life.Launch(Rank);
        }
        catch (CudaException exception)
        {
            // The other ranks may be waiting already.
            Abort(exception.Message);
            throw CudaFault.Explain(exception);
        }
        catch (MoeException)
        {
            // Why the group ended says more than what became of this call.
            _life.ThrowIfEnded();
            throw;
        }
        finally
        {
            Volatile.Write(ref _isBusy, 0);
        }
    }
}
