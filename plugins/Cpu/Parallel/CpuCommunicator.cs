namespace Moe.Plugins.Cpu;

/// <summary>One rank's end of a group. Every rank computes all that it gets by itself, from what all of them brought.</summary>
internal sealed unsafe class CpuCommunicator : IMoeCommunicator
{
    private readonly IExchangingGroup _group;
    private readonly MoeBuffer _memory;
    private readonly MoePartialBuffer _partials;
    private readonly float[] _sum;
    private readonly float[] _row;

    // What the exchange under way reads and writes that is this rank's alone.
    private MoeTensorView _output;
    private MoeAddNorm _addNorm;
    private MoeTokenExperts _experts;
    private int _isBusy;

    public CpuCommunicator(IExchangingGroup group, int rank, MoeGroupRequest request)
    {
        _group = group;
        Rank = rank;
        Request = request;
        _memory = MoeBuffer.OnHost(request.ElementType, request.MaxTokens, request.Width);
        _partials = new MoePartialBuffer(_memory.View);
        _sum = new float[request.Width];
        _row = new float[request.Width];
    }

    public int Rank { get; }

    public int Count => Request.Devices.Count;

    public MoeDevice Device => MoeDevice.Cpu;

    public IMoeMemory Memory => MoeHostMemory.Instance;

    public MoeException? Failure => _group.Failure;

    public MoeGroupRequest Request { get; }

    /// <summary>Whether somebody may be writing a part.</summary>
    public bool HasLent { get; private set; }

    /// <summary>Whether a call is under way.</summary>
    public bool IsBusy => Volatile.Read(ref _isBusy) != 0;

    public MoePartial LendPartial(int rows)
    {
        _group.ThrowIfEnded();
        MoePartial partial = _partials.Lend(rows);
        HasLent = true;
        return partial;
    }

    public void AllReduce(MoeReduceArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.AllReduce(this, _partials, arguments);
        Exchange(call, arguments.Partial, default, arguments.Output, default, default);
    }

    public void ReduceAddNorm(MoeReduceAddNormArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.ReduceAddNorm(this, _partials, arguments);
        Exchange(call, arguments.Partial, default, arguments.Output, arguments.AddNorm, default);
    }

    public void ReduceScatter(MoeReduceArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.ReduceScatter(this, _partials, arguments);
        Exchange(call, arguments.Partial, default, arguments.Output, default, arguments.Experts);
    }

    public void AllGather(MoeGatherArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.AllGather(this, _partials, arguments);
        Exchange(call, default, arguments.Input, arguments.Output, default, arguments.Experts);
    }

    /// <summary>A row costs a copy, and ids next to nothing.</summary>
    public bool GainsByRouting(int rows, int topK, int tensorCount) => _group.LeavesOutRows && tensorCount < Count;

    public void Abort(string why) => _group.Abort(Rank, why);

    /// <summary>Computes what this rank gets, from what all ranks brought.</summary>
    public void Compute(Post[] posts)
    {
        int rows = posts[Rank].View.Rows;
        switch (posts[Rank].Call.Kind)
        {
            case MoeGroupCallKind.AllReduce:
                Reduce(posts, 0, rows);
                break;
            case MoeGroupCallKind.ReduceScatter:
                Reduce(posts, Rank * (rows / Count), rows / Count);
                break;
            case MoeGroupCallKind.ReduceAddNorm:
                ReduceAddNorm(posts, rows);
                break;
            case MoeGroupCallKind.AllGather:
                Gather(posts, rows);
                break;
            default:
                throw new InvalidOperationException($"{posts[Rank].Call} is no exchange.");
        }
    }

    public void Free() => _memory.Dispose();

    // Of a gathering the input, of all else the part.
    private void Exchange(
        in MoeGroupCall call, in MoePartial partial, in MoeTensorView input, in MoeTensorView output, in MoeAddNorm addNorm, in MoeTokenExperts experts)
    {
        // Before a call under way is touched: it writes where it was told to.
        if (Interlocked.Exchange(ref _isBusy, 1) != 0)
        {
            throw new InvalidOperationException($"Another thread is making a call of rank {Rank}. A rank makes one call at a time.");
        }

        try
        {
            var post = new Post(call, call.Kind == MoeGroupCallKind.AllGather ? input : partial.Take());
            (_output, _addNorm, _experts) = (output, addNorm, experts);
            _group.Exchange(this, post);
        }
        finally
        {
            HasLent = false;
            Volatile.Write(ref _isBusy, 0);
        }
    }

    private void Reduce(Post[] posts, int first, int rows)
    {
        fixed (float* sum = _sum, other = _row)
        {
            for (int row = 0; row < rows; row++)
            {
                Sum(posts, first + row, sum, other);
                Floats.WriteRow(_output, row, sum);
            }
        }
    }

    private void ReduceAddNorm(Post[] posts, int rows)
    {
        int width = Request.Width;
        fixed (float* sum = _sum, other = _row)
        {
            for (int row = 0; row < rows; row++)
            {
                Sum(posts, row, sum, other);
                if (!_addNorm.Residual.IsEmpty)
                {
                    Floats.ReadRow(_addNorm.Residual, row, other);
                    Add(sum, other);
                }

                double squares = 0;
                for (int i = 0; i < width; i++)
                {
                    // As whoever reads the new residual sees it.
                    sum[i] = Request.ElementType == MoeElementType.BFloat16 ? MoeBFloat16.ToSingle(MoeBFloat16.FromSingle(sum[i])) : sum[i];
                    squares += (double)sum[i] * sum[i];
                }

                if (!_addNorm.ResidualOutput.IsEmpty)
                {
                    Floats.WriteRow(_addNorm.ResidualOutput, row, sum);
                }

                if (!_addNorm.NormWeight.IsEmpty)
                {
                    double factor = 1 / Math.Sqrt((squares / width) + _addNorm.Epsilon);
                    Floats.ReadRow(_addNorm.NormWeight, 0, other);
                    for (int i = 0; i < width; i++)
                    {
                        sum[i] = (float)(sum[i] * factor) * other[i];
                    }
                }

                Floats.WriteRow(_output, row, sum);
            }
        }
    }

    private void Gather(Post[] posts, int rows)
    {
        for (int rank = 0; rank < Count; rank++)
        {
            MoeTensorView view = posts[rank].View;
            for (int row = 0; row < rows; row++)
            {
                if (!IsFor((rank * rows) + row, Rank))
                {
                    continue;
                }

                Buffer.MemoryCopy((void*)view.RowAddress(row), (void*)_output.RowAddress((rank * rows) + row), view.RowBytes, view.RowBytes);
            }
        }
    }

    /// <summary>Whether a rank has one of a token's experts, or nothing is said of those.</summary>
    private bool IsFor(int token, int rank)
    {
        if (_experts.IsEmpty)
        {
            return true;
        }

        int each = _experts.ExpertsOfRank(Count);
        var ids = new ReadOnlySpan<int>((void*)_experts.Ids.RowAddress(token), _experts.Ids.Columns);
        foreach (int id in ids)
        {
            if ((uint)id < (uint)_experts.ExpertCount && id / each == rank / _experts.TensorCount)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>A row's sum over the ranks that have a part in it, in their order: the same bits on each of them.</summary>
    private void Sum(Post[] posts, int row, float* sum, float* other)
    {
        // From zero, so that no sign tells how many ranks had a part.
        new Span<float>(sum, Request.Width).Clear();
        for (int rank = 0; rank < posts.Length; rank++)
        {
            if (!IsFor(row, rank))
            {
                continue;
            }

            Floats.ReadRow(posts[rank].View, row, other);
            Add(sum, other);
        }
    }

    private void Add(float* sum, float* other)
    {
        for (int i = 0; i < Request.Width; i++)
        {
            sum[i] += other[i];
        }
    }
}
