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
        Exchange(new Post(call, arguments.Partial.Take()));
    }

    public void ReduceAddNorm(MoeReduceAddNormArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.ReduceAddNorm(this, _partials, arguments);
        _output = arguments.Output;
        _addNorm = arguments.AddNorm;
        Exchange(new Post(call, arguments.Partial.Take()));
    }

    public void ReduceScatter(MoeReduceArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.ReduceScatter(this, _partials, arguments);
        _output = arguments.Output;
        Exchange(new Post(call, arguments.Partial.Take()));
    }

    public void AllGather(MoeGatherArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.AllGather(this, _partials, arguments);
        _output = arguments.Output;
        Exchange(new Post(call, arguments.Input));
    }

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
                Buffer.MemoryCopy((void*)view.RowAddress(row), (void*)_output.RowAddress((rank * rows) + row), view.RowBytes, view.RowBytes);
            }
        }
    }

    /// <summary>A row's sum over the ranks, in their order: the same bits on each of them.</summary>
    private void Sum(Post[] posts, int row, float* sum, float* other)
    {
        Floats.ReadRow(posts[0].View, row, sum);
        for (int rank = 1; rank < posts.Length; rank++)
        {
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
