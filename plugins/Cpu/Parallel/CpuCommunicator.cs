namespace Moe.Plugins.Cpu;

/// <summary>One rank's end of a group of threads. Every rank computes all that it gets by itself, from what all of them brought.</summary>
internal sealed unsafe class CpuCommunicator : IMoeCommunicator
{
    private readonly CpuGroup _group;
    private readonly MoeBuffer _memory;
    private readonly MoePartialBuffer _partials;
    private readonly float[] _sum;
    private readonly float[] _row;

    // What the exchange under way reads and writes that is this rank's alone.
    private ExchangeKind _kind;
    private MoeTensorView _output;
    private MoeAddNorm _addNorm;

    public CpuCommunicator(CpuGroup group, int rank, MoeGroupRequest request)
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
        CheckPartial(arguments.Partial);
        Check(arguments.Output, nameof(arguments.Output), arguments.Partial.Rows, Request.ElementType);
        _output = arguments.Output;
        Exchange(new Post(ExchangeKind.AllReduce, arguments.Partial.Take()));
    }

    public void ReduceAddNorm(MoeReduceAddNormArguments arguments)
    {
        int rows = arguments.Partial.Rows;
        MoeAddNorm addNorm = arguments.AddNorm;
        CheckPartial(arguments.Partial);
        Check(arguments.Output, nameof(arguments.Output), rows, Request.ElementType);
        bool isFloat32 = addNorm.NormWeight.ElementType == MoeElementType.Float32;
        Check(addNorm.NormWeight, nameof(addNorm.NormWeight), 1, isFloat32 ? MoeElementType.Float32 : MoeElementType.BFloat16);
        CheckOptional(addNorm.Residual, nameof(addNorm.Residual), rows);
        CheckOptional(addNorm.ResidualOutput, nameof(addNorm.ResidualOutput), rows);
        _output = arguments.Output;
        _addNorm = addNorm;
        Exchange(new Post(ExchangeKind.ReduceAddNorm, arguments.Partial.Take(), !addNorm.Residual.IsEmpty, addNorm.Epsilon));
    }

    public void ReduceScatter(MoeReduceArguments arguments)
    {
        CheckPartial(arguments.Partial);
        int rows = arguments.Partial.Rows;
        if (rows % Count != 0)
        {
            throw new ArgumentException($"{rows} rows cannot be shared out evenly among {Count} ranks.", nameof(arguments));
        }

        Check(arguments.Output, nameof(arguments.Output), rows / Count, Request.ElementType);
        _output = arguments.Output;
        Exchange(new Post(ExchangeKind.ReduceScatter, arguments.Partial.Take()));
    }

    public void AllGather(MoeGatherArguments arguments)
    {
        _group.ThrowIfEnded();
        MoeTensorView input = arguments.Input;
        long most = (long)Request.Width * Request.ElementType.ByteSize();
        if (input.Rows > Request.MaxTokens || input.RowBytes > most)
        {
            throw new ArgumentException(
                $"The input has {input.Rows} rows of {input.RowBytes} bytes; the group was made for at most {Request.MaxTokens} of {most}.", nameof(arguments));
        }

        Check(input, nameof(arguments.Input), input.Rows, input.ElementType, input.Columns);
        Check(arguments.Output, nameof(arguments.Output), checked(Count * input.Rows), input.ElementType, input.Columns);
        _output = arguments.Output;
        Exchange(new Post(ExchangeKind.AllGather, input));
    }

    public void Abort(string why) => _group.Abort(Rank, why);

    /// <summary>Computes what this rank gets, from what all ranks brought.</summary>
    public void Compute(Post[] posts)
    {
        int rows = posts[Rank].View.Rows;
        switch (_kind)
        {
            case ExchangeKind.AllReduce:
                Reduce(posts, 0, rows);
                break;
            case ExchangeKind.ReduceScatter:
                Reduce(posts, Rank * (rows / Count), rows / Count);
                break;
            case ExchangeKind.ReduceAddNorm:
                ReduceAddNorm(posts, rows);
                break;
            case ExchangeKind.AllGather:
                Gather(posts, rows);
                break;
            default:
                throw new InvalidOperationException($"{_kind} is no exchange.");
        }
    }

    public void Free() => _memory.Dispose();

    private void Exchange(in Post post)
    {
        _kind = post.Kind;
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

                double factor = 1 / Math.Sqrt((squares / width) + _addNorm.Epsilon);
                Floats.ReadRow(_addNorm.NormWeight, 0, other);
                for (int i = 0; i < width; i++)
                {
                    sum[i] = (float)(sum[i] * factor) * other[i];
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

    private void CheckPartial(in MoePartial partial)
    {
        _group.ThrowIfEnded();
        if (!partial.IsIn(_partials))
        {
            throw new ArgumentException($"The part was not lent by rank {Rank} of this group.", nameof(partial));
        }
    }

    private void CheckOptional(in MoeTensorView view, string name, int rows)
    {
        if (!view.IsEmpty)
        {
            Check(view, name, rows, Request.ElementType);
        }
    }

    private void Check(in MoeTensorView view, string name, int rows, MoeElementType type) => Check(view, name, rows, type, Request.Width);

    private void Check(in MoeTensorView view, string name, int rows, MoeElementType type, int columns)
    {
        // A view of no rows has nothing in it that could be wrong, not even an address.
        if (rows == 0 && view.Rows == 0)
        {
            return;
        }

        if (view.Planes != 1 || view.Rows != rows || view.Columns != columns || view.ElementType != type)
        {
            throw new ArgumentException(
                $"{name} is [{view.Planes}, {view.Rows}, {view.Columns}] {view.ElementType}; [1, {rows}, {columns}] {type} is expected.");
        }

        if (view.Device != Device)
        {
            throw new ArgumentException($"{name} is on {view.Device}; rank {Rank} is on {Device}.");
        }

        if (view.Address >= _memory.View.Address && view.Address < _memory.View.Address + (nint)_memory.ByteCount)
        {
            throw new ArgumentException($"{name} is in the memory that rank {Rank} was lent, which the other ranks read.");
        }
    }
}
