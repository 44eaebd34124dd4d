namespace Moe.Plugins.Conformance;

/// <summary>All ranks make the calls of a sequence, one behind the other without a wait between them; then the results are read.</summary>
internal static class GroupExercise
{
    private const int Gap = 8;

    /// <summary>Runs the sequence.</summary>
    /// <param name="group">The group.</param>
    /// <param name="size">How large it is.</param>
    /// <param name="calls">The calls.</param>
    /// <param name="seed">Of the numbers.</param>
    /// <returns>Of each call each rank's result.</returns>
    /// <exception cref="MoeException">The group ended.</exception>
    public static GroupResult[][] Run(GroupUnderTest group, GroupSize size, IReadOnlyList<GroupCall> calls, int seed)
    {
        GroupResult[][] results = [.. calls.Select(_ => new GroupResult[size.Ranks])];
        using var ready = new Barrier(size.Ranks);
        using var done = new Barrier(size.Ranks);
        Exception?[] errors = group.Run(member =>
        {
            nint stream = member.Memory.CreateStream();
            RankTensors[] tensors = [.. calls.Select(call => new RankTensors(call, size, member, seed))];
            try
            {
                // Nobody allocates while another rank may be waiting in a kernel.
                ready.SignalAndWait();
                foreach (RankTensors of in tensors)
                {
                    of.Enqueue(member, stream);
                }

                GroupUnderTest.Wait(member, stream);
                done.SignalAndWait();
                for (int i = 0; i < tensors.Length; i++)
                {
                    results[i][member.Rank] = tensors[i].Download();
                }
            }
            catch (Exception exception)
            {
                member.Abort(ExceptionText.NameAndMessage(exception));
                ready.RemoveParticipant();
                done.RemoveParticipant();
                throw;
            }
            finally
            {
                Array.ForEach(tensors, of => of.Dispose());
                member.Memory.DestroyStream(stream);
            }
        });
        if (errors.FirstOrDefault(error => error is not null) is { } error)
        {
            throw new InvalidOperationException($"A rank threw {ExceptionText.NameAndMessage(error)}", error);
        }

        return results;
    }

    /// <summary>One rank's tensors of one call.</summary>
    private sealed class RankTensors : IDisposable
    {
        private readonly GroupCall _call;
        private readonly MoeBuffer _part;
        private readonly GuardedTensor _input;
        private readonly GuardedTensor _residual;
        private readonly GuardedTensor _weight;
        private readonly GuardedTensor _output;
        private readonly GuardedTensor _sum;
        private readonly GuardedTensor _ids;
        private readonly GuardedTensor? _zeros;
        private readonly GuardedTensor? _arrived;
        private readonly int[] _unwanted = [];
        private readonly int _ranks;

        public RankTensors(GroupCall call, GroupSize size, IMoeCommunicator member, int seed)
        {
            _call = call;
            IMoeMemory memory = member.Memory;
            _part = call.Part(size, member.Rank, seed);
            using MoeBuffer residual = call.Residual(size, seed);
            using MoeBuffer weight = call.Weight(size, seed);
            _input = GuardedTensor.CopyOf(memory, "input", _part.View, size.Width, Gap);
            _residual = GuardedTensor.CopyOf(memory, "residual", residual.View, size.Width, Gap);
            _weight = GuardedTensor.CopyOf(memory, "norm weight", weight.View, size.Width, gap: 0);
            _output = new GuardedTensor(memory, "output", size.Type, call.OutputRows(size.Ranks), size.Width, Gap);
            using MoeBuffer ids = call.Ids(size.Ranks, seed);
            _ids = GuardedTensor.CopyOf(memory, "ids", ids.View, GroupCall.TopK, gap: 1);
            _ranks = size.Ranks;
            _sum = new GuardedTensor(memory, "residual output", size.Type, call.Rows, size.Width, Gap);
            if (IsOfSomeParts)
            {
                using MoeBuffer zeros = MoeBuffer.OnHost(size.Type, call.OutputRows(size.Ranks), size.Width);
                zeros.Clear();
                _zeros = GuardedTensor.CopyOf(memory, "rows of zeros", zeros.View, size.Width, Gap);
                _arrived = new GuardedTensor(memory, "gathered rows of zeros", size.Type, call.Rows, size.Width, Gap);
                bool[] wants = call.Wants(size.Ranks, member.Rank, seed);
                _unwanted = [.. Enumerable.Range(0, call.Rows).Where(row => !wants[row])];
            }
        }

        public void Enqueue(IMoeCommunicator member, nint stream)
        {
            if (_call.Kind == MoeGroupCallKind.AllGather)
            {
                member.AllGather(new MoeGatherArguments { Input = _input.View, Output = _output.View, Experts = Experts, Stream = stream });
                return;
            }

            if (_zeros is not null && _arrived is not null)
            {
                member.AllGather(new MoeGatherArguments { Input = _zeros.View, Output = _arrived.View, Experts = Experts, Stream = stream });
            }

            MoePartial partial = member.LendPartial(_call.Rows);
            if (_call.Rows > 0)
            {
                member.Memory.CopyIn(partial.View.Address, _part.View.Address, _call.Rows * _part.View.RowBytes, stream);
            }

            if (_arrived is not null)
            {
                SpoilUnwanted(member.Memory, partial.View, _arrived.View, stream);
            }

            var plain = new MoeReduceArguments { Partial = partial, Output = _output.View, Experts = Experts, Stream = stream };
            switch (_call.Kind)
            {
                case MoeGroupCallKind.AllReduce:
                    member.AllReduce(plain);
                    break;
                case MoeGroupCallKind.ReduceScatter:
                    member.ReduceScatter(plain);
                    break;
                default:
                    member.ReduceAddNorm(new MoeReduceAddNormArguments { Partial = partial, AddNorm = AddNorm, Output = _output.View, Stream = stream });
                    break;
            }
        }

        public GroupResult Download()
        {
            MoeBuffer output = _output.Download(_output.View.Columns, out string? outputTrespass);
            MoeBuffer sum = _sum.Download(_sum.View.Columns, out string? sumTrespass);
            return new GroupResult(output, sum, outputTrespass ?? sumTrespass ?? _input.Change() ?? _residual.Change() ?? _weight.Change() ?? _ids.Change());
        }

        public void Dispose()
        {
            _part.Dispose();
            Array.ForEach([_input, _residual, _weight, _output, _sum, _ids, _zeros, _arrived], tensor => tensor?.Dispose());
        }

        private bool IsOfSomeParts => _call.Kind == MoeGroupCallKind.ReduceScatter && _call.TensorCount > 0 && _call.Rows > 0;

        // As behind a dispatch: of a token that has none of the rank's experts the part is nothing, which is zeros where the group has brought its row, and
        // NaN where it has kept it.
        private void SpoilUnwanted(IMoeMemory memory, in MoeTensorView part, in MoeTensorView arrived, nint stream)
        {
            foreach (int row in _unwanted)
            {
                memory.Copy2D(part.RowAddress(row), part.RowStride, arrived.RowAddress(row), arrived.RowStride, part.RowBytes, 1, stream);
            }
        }

        private MoeTokenExperts Experts => _call.TensorCount == 0 || _ids.View.Rows == 0
            ? default
            : new MoeTokenExperts { Ids = _ids.View, ExpertCount = _call.ExpertCount(_ranks), TensorCount = _call.TensorCount };

        private MoeAddNorm AddNorm => new()
        {
            NormWeight = _call.NormType is null ? default : _weight.View,
            Epsilon = GroupCall.Epsilon,
            Residual = _call.HasResidual ? _residual.View : default,
            ResidualOutput = _sum.View,
        };
    }
}
