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
        _output = arguments.Output;
        _experts = default;
        Exchange(new Post(call, arguments.Partial.Take()));
    }

    public void ReduceAddNorm(MoeReduceAddNormArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.ReduceAddNorm(this, _partials, arguments);
        _output = arguments.Output;
        _experts = default;
        _addNorm = arguments.AddNorm;
        Exchange(new Post(call, arguments.Partial.Take()));
    }

    public void ReduceScatter(MoeReduceArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.ReduceScatter(this, _partials, arguments);
        _output = arguments.Output;
        _experts = arguments.Experts;
        Exchange(new Post(call, arguments.Partial.Take()));
    }

    public void AllGather(MoeGatherArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.AllGather(this, _partials, arguments);
        _output = arguments.Output;
        _experts = arguments.Experts;
        Exchange(new Post(call, arguments.Input));
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

    private void Exchange(in Post post)
    {
        try
        {
            _group.Exchange(this, post);
        }
        finally
        {
            HasLent = false;
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
