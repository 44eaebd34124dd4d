namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>A rank's end: plain float32 sums in the order of the ranks. But for one lie.</summary>
internal sealed unsafe class LyingMember : IMoeCommunicator
{
    private readonly LyingGroup _group;
    private readonly GroupLie _lie;
    private readonly MoeBuffer _memory;
    private readonly MoePartialBuffer _lent;
    private int _rowsBefore;

    public LyingMember(LyingGroup group, int rank, MoeGroupRequest request, GroupLie lie)
    {
        _group = group;
        _lie = lie;
        Rank = rank;
        Request = request;
        _memory = MoeBuffer.OnHost(request.ElementType, request.MaxTokens, request.Width);
        _lent = new MoePartialBuffer(_memory.View);
    }

    public int Rank { get; }

    public int Count => Request.Devices.Count;

    public MoeDevice Device => MoeDevice.Cpu;

    public IMoeMemory Memory => MoeHostMemory.Instance;

    public MoeException? Failure => _lie == GroupLie.ReturnsAsIfNothingHadHappened ? null : _group.Failure;

    public MoeGroupRequest Request { get; }

    public MoePartial LendPartial(int rows)
    {
        _group.ThrowIfEnded();
        return _lent.Lend(rows);
    }

    public void AllReduce(MoeReduceArguments arguments)
    {
        if (_lie == GroupLie.TakesWrongSizes && arguments.Output.Rows != arguments.Partial.Rows)
        {
            return;
        }

        var call = MoeGroupCall.AllReduce(this, _lent, arguments);
        _group.Exchange(Rank, call, arguments.Partial.Take(), parts => Sum(parts, 0, arguments.Output, default));
    }

    public void ReduceScatter(MoeReduceArguments arguments)
    {
        var call = MoeGroupCall.ReduceScatter(this, _lent, arguments);
        _group.Exchange(Rank, call, arguments.Partial.Take(), parts => Sum(parts, Rank * arguments.Output.Rows, arguments.Output, default, arguments.Experts));
    }

    public void ReduceAddNorm(MoeReduceAddNormArguments arguments)
    {
        var call = MoeGroupCall.ReduceAddNorm(this, _lent, arguments);
        _group.Exchange(Rank, call, arguments.Partial.Take(), parts => Sum(parts, 0, arguments.Output, arguments.AddNorm));
    }

    public void AllGather(MoeGatherArguments arguments)
    {
        var call = MoeGroupCall.AllGather(this, _lent, arguments);
        _group.Exchange(Rank, call, arguments.Input, parts =>
        {
            for (int from = 0; from < Count; from++)
            {
                MoeTensorView part = parts[_lie == GroupLie.GathersInAnotherOrder ? Count - 1 - from : from];
                for (int row = 0; row < part.Rows; row++)
                {
                    int token = (from * part.Rows) + row;
                    if (!arguments.Experts.IsEmpty
                        && ((_lie == GroupLie.LooksAtTheFirstExpertOnly && !IsOf(arguments.Experts, token, Rank))
                            || (_lie == GroupLie.LeavesOutRowsButNoParts && !HasExpertOf(arguments.Experts, token, Rank))))
                    {
                        continue;
                    }

                    Buffer.MemoryCopy((void*)part.RowAddress(row), (void*)arguments.Output.RowAddress(token), part.RowBytes, part.RowBytes);
                }
            }
        });
    }

    public void Abort(string why) => _group.Abort($"Rank {Rank} failed: {why}");

    public void Free() => _memory.Dispose();

    private void Sum(MoeTensorView[] parts, int first, MoeTensorView output, MoeAddNorm addNorm, MoeTokenExperts experts = default)
    {
        int rows = _lie == GroupLie.KeepsTheLastNumberOfRows && _rowsBefore > 0 ? Math.Min(_rowsBefore, output.Rows) : output.Rows;
        _rowsBefore = output.Rows;
        for (int row = 0; row < rows; row++)
        {
            var sum = new float[Request.Width];
            for (int i = 0; i < sum.Length; i++)
            {
                for (int rank = 0; rank < parts.Length; rank++)
                {
                    bool isLeftOut = _lie == GroupLie.LeavesOutPartsOfTheLastExperts && !experts.IsEmpty && !IsOf(experts, first + row, rank);
                    sum[i] += isLeftOut ? 0 : Read(parts[rank], first + row, i);
                }

                sum[i] += _lie == GroupLie.AddsARankTwice ? Read(parts[0], first + row, i) : 0;
            }

            if (_lie == GroupLie.NormsBeforeAdding)
            {
                Norm(sum, addNorm);
            }

            for (int i = 0; i < sum.Length && !addNorm.Residual.IsEmpty && _lie != GroupLie.ForgetsTheResidual; i++)
            {
                sum[i] += Read(addNorm.Residual, row, i);
            }

            Write(addNorm.ResidualOutput, row, sum);
            if (_lie == GroupLie.AddsIntoTheResidual)
            {
                Write(addNorm.Residual, row, sum);
            }

            if (_lie != GroupLie.NormsBeforeAdding)
            {
                Norm(sum, addNorm);
            }

            Write(output, row, sum);
        }
    }

    // Whether one of a token's experts is a rank's, the first of them if not told which.
    private bool IsOf(in MoeTokenExperts experts, int token, int rank, int choice = 0) =>
        ((int*)experts.Ids.RowAddress(token))[choice] / experts.ExpertsOfRank(Count) == rank / experts.TensorCount;

    private bool HasExpertOf(MoeTokenExperts experts, int token, int rank) => Enumerable.Range(0, experts.Ids.Columns).Any(choice =>
        ((int*)experts.Ids.RowAddress(token))[choice] is >= 0 and int id && id < experts.ExpertCount && IsOf(experts, token, rank, choice));

    private void Norm(float[] values, MoeAddNorm addNorm)
    {
        if (addNorm.NormWeight.IsEmpty)
        {
            return;
        }

        double squares = 0;
        for (int i = 0; i < values.Length; i++)
        {
            bool isRounded = Request.ElementType == MoeElementType.BFloat16 && _lie != GroupLie.NormsBeforeAdding;
            values[i] = isRounded ? MoeBFloat16.ToSingle(MoeBFloat16.FromSingle(values[i])) : values[i];
            squares += (double)values[i] * values[i];
        }

        double factor = 1 / Math.Sqrt((squares / values.Length) + addNorm.Epsilon);
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = (float)(values[i] * factor) * Read(addNorm.NormWeight, 0, i);
        }
    }

    private static float Read(in MoeTensorView view, int row, int column) => view.ElementType == MoeElementType.Float32
        ? ((float*)view.RowAddress(row))[column]
        : MoeBFloat16.ToSingle(((ushort*)view.RowAddress(row))[column]);

    private void Write(in MoeTensorView view, int row, float[] values)
    {
        if (view.IsEmpty)
        {
            return;
        }

        int columns = values.Length + (_lie == GroupLie.WritesOneElementMore ? 1 : 0);
        for (int i = 0; i < columns; i++)
        {
            float value = i < values.Length ? values[i] : 0;
            if (view.ElementType == MoeElementType.Float32)
            {
                ((float*)view.RowAddress(row))[i] = _lie == GroupLie.RoundsOnOneRankOnly && Rank == 1 ? MathF.BitIncrement(value) : value;
            }
            else
            {
                ((ushort*)view.RowAddress(row))[i] = (ushort)(MoeBFloat16.FromSingle(value) ^ (_lie == GroupLie.RoundsOnOneRankOnly && Rank == 1 ? 1 : 0));
            }
        }
    }
}
