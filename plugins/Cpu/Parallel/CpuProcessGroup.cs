using System.Text;

namespace Moe.Plugins.Cpu;

/// <summary>
/// Ranks that are processes. What each brings goes to all through their rendezvous; nobody's memory is read by another. Simple and right, not
/// fast: it is for machines without a GPU.
/// </summary>
internal sealed unsafe class CpuProcessGroup : IExchangingGroup
{
    private static readonly TimeSpan WaitAfterFailure = TimeSpan.FromSeconds(2);

    private readonly MoeGroupRequest _request;
    private readonly IMoeRendezvous _rendezvous;
    private readonly CpuCommunicator _member;
    private readonly Post[] _posts;
    private int _isDisposed;

    public CpuProcessGroup(MoeGroupRequest request, IMoeRendezvous rendezvous)
    {
        _request = request;
        _rendezvous = rendezvous;
        _posts = new Post[rendezvous.Count];
        _member = new CpuCommunicator(this, rendezvous.Rank, request);
    }

    public IReadOnlyList<IMoeCommunicator> Members => [_member];

    public MoeException? Failure => _rendezvous.Failure;

    public bool LeavesOutRows => false;

    public void Abort(string why)
    {
        ArgumentNullException.ThrowIfNull(why);
        _rendezvous.Abort(MoeReason.PeerFailed, why);
    }

    public void Abort(int rank, string why)
    {
        ArgumentNullException.ThrowIfNull(why);
        Abort($"Rank {rank} failed: {why}");
    }

    public void ThrowIfEnded()
    {
        ObjectDisposedException.ThrowIf(_isDisposed != 0, this);
        if (Failure is { } failure)
        {
            throw new MoeException(failure.Reason, $"The group has ended: {failure.Message}", failure);
        }
    }

    public void Exchange(CpuCommunicator member, in Post post)
    {
        ThrowIfEnded();
        IReadOnlyList<ReadOnlyMemory<byte>> all = Exchange(post, Text(post.Call));
        Require(all);
        Compute(member, post, all);
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return;
        }

        if (_member.HasLent || _member.IsBusy)
        {
            // A thread of this process is still at it. Its memory goes with the last who knows the group.
            _rendezvous.Abort(MoeReason.PeerFailed, $"Rank {_member.Rank} disposed the group.");
        }
        else
        {
            _member.Free();
        }

        _rendezvous.Leave(_rendezvous.Failure is null ? _request.Timeout : WaitAfterFailure);
    }

    // What differs between two calls differs in this: epsilon is written to its last bit.
    private static string Text(in MoeGroupCall call) => $"{call}{(call.HasNorm ? $" ({BitConverter.SingleToInt32Bits(call.Epsilon):x8})" : "")}";

    private IReadOnlyList<ReadOnlyMemory<byte>> Exchange(in Post post, string text)
    {
        MoeTensorView view = post.View;
        byte[] head = Encoding.UTF8.GetBytes(text);
        byte[] own = new byte[checked(1 + head.Length + (int)(view.Rows * view.RowBytes))];
        own[0] = checked((byte)head.Length);
        head.CopyTo(own, 1);
        for (int row = 0; row < view.Rows; row++)
        {
            int at = checked(1 + head.Length + (int)(row * view.RowBytes));
            new ReadOnlySpan<byte>((void*)view.RowAddress(row), (int)view.RowBytes).CopyTo(own.AsSpan(at));
        }

        return _rendezvous.Exchange("a call of the group", own, _request.Timeout);
    }

    private void Require(IReadOnlyList<ReadOnlyMemory<byte>> all)
    {
        string first = Head(all[0]);
        for (int rank = 1; rank < all.Count; rank++)
        {
            string other = Head(all[rank]);
            if (other != first)
            {
                _rendezvous.Abort(MoeReason.ContractBroken, $"Rank {rank} brings {other}, and rank 0 {first}: all ranks make the same calls.");
                ThrowIfEnded();
            }
        }

        static string Head(ReadOnlyMemory<byte> bytes) => Encoding.UTF8.GetString(bytes.Span.Slice(1, bytes.Span[0]));
    }

    private void Compute(CpuCommunicator member, in Post post, IReadOnlyList<ReadOnlyMemory<byte>> all)
    {
        var pins = new System.Buffers.MemoryHandle[all.Count];
        try
        {
            for (int rank = 0; rank < all.Count; rank++)
            {
                pins[rank] = all[rank].Pin();
                nint address = (nint)pins[rank].Pointer + 1 + all[rank].Span[0];
                _posts[rank] = new Post(post.Call, new MoeTensorView(address, MoeDevice.Cpu, post.View.ElementType, post.View.Rows, post.View.Columns));
            }

            member.Compute(_posts);
        }
        catch (Exception exception)
        {
            Abort(member.Rank, $"{post.Call}: {exception.Message}");
            throw;
        }
        finally
        {
            Array.ForEach(pins, pin => pin.Dispose());
        }
    }
}
