using Moe.Plugins.Kernels;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Collectives.Tests;

/// <summary>Ranks that share memory; a kernel of theirs runs to its end in a process for each, and what it left is checked.</summary>
internal sealed unsafe class ModelGroup : IDisposable
{
    private const float Epsilon = 1e-5f;
    private const int WordBytes = 4096;
    private const byte Poison = 0xEE;
    private const byte Empty = 0xFF;
    private const ulong ShortPatience = 200_000_000;
    private const int TopK = 3;
    private const int ExpertsOfRank = 3;
    private static readonly string[] Gatherings = [.. Enum.GetValues<GatherWay>().Select(ReductionKernels.NameOf)];

    private readonly int _ranks;
    private readonly int _width;
    private readonly int _maxTokens;
    private readonly RowShape _shape;
    private readonly GroupLayout _layout;
    private readonly HostLibrary _library;
    private readonly byte* _memory;
    private readonly long _rankBytes;
    private readonly long _tensorBytes;
    private int _seed;

    public ModelGroup(int ranks, int width, int maxTokens)
    {
        _ranks = ranks;
        _width = width;
        _maxTokens = maxTokens;
        _shape = RowShape.Of(width, MoeElementType.BFloat16);
        var request = new MoeGroupRequest { Devices = [.. Enumerable.Repeat(MoeDevice.Cpu, ranks)], MaxTokens = maxTokens, Width = width };
        _layout = new GroupLayout(request, _shape, maxTokens, maxTokens, maxTokens);
        KernelUnit[] units = [.. Enum.GetValues<ReductionWay>().Select(way => UnitOf(way)), UnitOf(ReductionWay.Pull, some: true)];
        string[] files = [.. units.Select(unit => unit.File).Append("gather.cu").Distinct()];
        _library = HostLibrary.CompileBlock(files[0], Exports(files, [.. units.Select(unit => unit.Instances[0])]), files[1..]);
        Assert.Equal(sizeof(GatherParameters), ((delegate* unmanaged<int>)_library.Export("size"))());

        // Of each rank: what all reach, the words that a device and its host have, and a caller's output, sums, residual and weight.
        _tensorBytes = (long)ranks * maxTokens * _shape.RowBytes;
        _rankBytes = _layout.ByteCount + WordBytes + (4 * _tensorBytes);
        _memory = (byte*)((delegate* unmanaged<long, nint>)_library.Export("map_shared"))(_rankBytes * ranks);
        EmptySlots();
    }

    public int RowBytes => _shape.RowBytes;

    /// <summary>Sums rows of all ranks, with a residual and a norm or plainly: as many as a launch takes.</summary>
    public void Reduce(ReductionWay way, int rows, int blocks, int ahead, bool hasNorm)
    {
        rows = Math.Min(rows, _layout.MostRows(way));
        var random = new Random(++_seed);
        float[][] parts = Parts(random, rows);
        float[] residual = Numbers(random, rows * _width);
        float[] weight = Numbers(random, _width);
        LaunchReduction(way, rows, blocks, ahead, parts, p =>
        {
            Write(Tensor(p->Group.Rank, 2), residual);
            Write(Tensor(p->Group.Rank, 3), weight);
            if (hasNorm)
            {
                p->Group.Residual = (nint)Tensor(p->Group.Rank, 2);
                p->Group.Weight = (nint)Tensor(p->Group.Rank, 3);
                p->Group.ResidualOut = (nint)Tensor(p->Group.Rank, 1);
            }
        });
        for (int row = 0; row < rows; row++)
        {
            float[] sum = [.. Enumerable.Range(row * _width, _width).Select(i => Rounded(parts.Aggregate(0f, (all, part) => all + part[i]) + (hasNorm ? residual[i] : 0)))];
            double factor = 1 / Math.Sqrt((sum.Sum(value => (double)value * value) / _width) + Epsilon);
            for (int rank = 0; rank < _ranks; rank++)
            {
                Assert.True(!hasNorm || sum.AsSpan().SequenceEqual(Row(rank, 1, row)), $"{way}, {rows} rows: the sum of row {row} on rank {rank}");
                float[] found = Row(rank, 0, row);
                for (int i = 0; i < _width; i++)
                {
                    double expected = hasNorm ? sum[i] * factor * weight[i] : sum[i];
                    bool isRight = Math.Abs(found[i] - expected) <= (hasNorm ? Math.Abs(expected) / 200 : 0);
                    Assert.True(isRight, $"{way}, {rows} rows: row {row}, column {i} on rank {rank} is {found[i]}, not {expected}");
                }
            }
        }
    }

    /// <summary>Sums rows of which each rank gets its own: all ranks' parts, or, with experts of which so many ranks share each, those of ranks that have one of a token's.</summary>
    public void Scatter(ReductionWay way, int rows, int blocks, int tensorCount = 0, int calls = 1)
    {
        var random = new Random(++_seed);
        float[][] parts = Parts(random, rows * _ranks);
        (int[][] ids, Func<int, int, bool> has) = Choices(random, rows, tensorCount);
        for (int i = 0; i < rows * _ranks * _ranks; i++)
        {
            // What a rank makes of a token that it did not get is nobody's.
            if (!has(i / _ranks, i % _ranks))
            {
                Array.Fill(parts[i % _ranks], float.NaN, i / _ranks * _width, _width);
            }
        }

        LaunchReduction(
            way,
            rows,
            blocks,
            ahead: 1,
            parts,
            p =>
            {
                p->Group.Spread = rows;
                p->Group.Experts = Experts(p->Group.Rank, ids, tensorCount);
            },
            kernel: tensorCount == 0 ? (int)way : Enum.GetValues<ReductionWay>().Length,
            calls: calls);
        for (int rank = 0; rank < _ranks; rank++)
        {
            for (int row = 0; row < rows; row++)
            {
                int token = (rank * rows) + row;
                IEnumerable<float> expected = Enumerable.Range(token * _width, _width)
                    .Select(i => Rounded(parts.Where((_, from) => has(token, from)).Aggregate(0f, (all, part) => all + part[i])));
                Assert.True(expected.SequenceEqual(Row(rank, 0, row)), $"{way}: row {row} of {rows} of rank {rank}, {tensorCount} ranks share an expert");
            }
        }
    }

    /// <summary>Gathers rows of any bytes: all, or, with experts of which so many ranks share each, those of tokens that have one on the rank.</summary>
    /// <param name="way">How.</param>
    /// <param name="rows">Of a rank.</param>
    /// <param name="blocks">The most blocks.</param>
    /// <param name="rowBytes">Of a row.</param>
    /// <param name="tensorCount">Ranks that share each expert; 0 for all rows everywhere.</param>
    /// <param name="calls">Calls behind each other.</param>
    /// <param name="gap">Bytes between rows.</param>
    public void Gather(GatherWay way, int rows, int blocks, int rowBytes, int tensorCount = 0, int calls = 1, int gap = 0)
    {
        var random = new Random(++_seed);
        byte[][] inputs = [.. Enumerable.Range(0, _ranks).Select(_ => new byte[rows * rowBytes])];
        Array.ForEach(inputs, random.NextBytes);

        // An id that is nobody's is all ones, as a word is that has not arrived.
        Array.ForEach(inputs, input => input.AsSpan(random.Next(input.Length)).Fill(0xFF));
        (int[][] ids, Func<int, int, bool> has) = Choices(random, rows, tensorCount);
        int stride = rowBytes + gap;
        LaunchGather(way, rows, blocks, rowBytes, gap, missing: -1, p =>
        {
            for (int row = 0; row < rows; row++)
            {
                inputs[p->Group.Rank].AsSpan(row * rowBytes, rowBytes).CopyTo(new Span<byte>(Tensor(p->Group.Rank, 1) + (row * stride), rowBytes));
            }

            p->Group.Experts = Experts(p->Group.Rank, ids, tensorCount);
        }, calls);
        byte[][] all = [.. inputs.SelectMany(input => input.Chunk(rowBytes))];
        for (int rank = 0; rank < _ranks; rank++)
        {
            for (int token = 0; token < all.Length; token++)
            {
                var found = new Span<byte>(Tensor(rank, 0) + (token * stride), rowBytes);
                bool isRight = token / rows == rank || has(token, rank) ? found.SequenceEqual(all[token]) : !found.ContainsAnyExcept(Poison);
                bool isBesideUntouched = !new Span<byte>(Tensor(rank, 0) + (token * stride) + rowBytes, gap).ContainsAnyExcept(Poison);
                Assert.True(
                    isRight && isBesideUntouched,
                    $"{way}, token {token} of {rows} rows of {rowBytes} bytes, {gap} apart, on rank {rank}, {tensorCount} ranks share an expert");
            }

            Assert.False(new Span<byte>(Tensor(rank, 0) + (all.Length * stride), 64).ContainsAnyExcept(Poison), $"{way}: bytes behind the rows of rank {rank}");
            Assert.False(Slots(rank).ContainsAnyExcept(Empty), $"{way}: slots of rank {rank} are not empty");
        }
    }

    /// <summary>A rank does not come: the others find out which, and none waits any longer. Then all is as before.</summary>
    public void ReduceWithout(int missing, ReductionWay way, int rows)
    {
        rows = Math.Min(rows, _layout.MostRows(way));
        LaunchReduction(way, rows, blocks: 2, ahead: 2, Parts(new Random(++_seed), rows), p => p->Group.Patience = ShortPatience, missing);
        RequireEnd(missing, $"{way}");
    }

    /// <inheritdoc cref="ReduceWithout"/>
    public void GatherWithout(int missing, GatherWay way, int rows, int rowBytes)
    {
        LaunchGather(way, rows, blocks: 2, rowBytes, gap: 0, missing, p => p->Group.Patience = ShortPatience);
        RequireEnd(missing, $"{way}");
    }

    public void Dispose()
    {
        ((delegate* unmanaged<nint, long, void>)_library.Export("unmap_shared"))((nint)_memory, _rankBytes * _ranks);
        _library.Dispose();
    }

    private void RequireEnd(int missing, string way)
    {
        for (int rank = 0; rank < _ranks; rank++)
        {
            // Whether the rank has ended, and 1 + whom it has waited for.
            (uint, uint) found = (Words(rank)[1], Words(rank)[5]);
            Assert.True(found == (rank == missing ? (0, 0) : (1, (uint)missing + 1)), $"{way}, rank {rank}: {found}");
        }

        new Span<byte>(_memory, checked((int)(_rankBytes * _ranks))).Clear();
        EmptySlots();
    }

    private static float Rounded(float value) => MoeBFloat16.ToSingle(MoeBFloat16.FromSingle(value));

    private static float[] Numbers(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => Rounded((float)(random.NextDouble() - 0.5)))];

    private static void Write(byte* to, float[] values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            ((ushort*)to)[i] = MoeBFloat16.FromSingle(values[i]);
        }
    }

    private static string Exports(string[] files, string[] instances) =>
        $$"""
        {{string.Concat(files.Select(file => $"#include \"{file}\"\n"))}}
        #include <sys/mman.h>
        #include <sys/wait.h>
        #include <unistd.h>
        extern "C" int size() { return sizeof(GatherParameters); }
        extern "C" void* map_shared(i64 bytes) { return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); }
        extern "C" void unmap_shared(void* memory, i64 bytes) { munmap(memory, bytes); }
        void run_rank(int kernel, const GatherParameters& q, int blocks, int threads)
        {
            gridDim = {blocks, 1, 1};
            for (int b = 0; b < blocks; b++)
            {
                blockIdx = {b, 0, 0};
                run_block(threads, [&] {
                    switch (kernel)
                    {
                        {{string.Concat(instances.Select((instance, i) => $"case {i}: {instance}(q.group); break;\n"))}}
                        {{string.Concat(Gatherings.Select((name, i) => $"case {instances.Length + i}: {name}(q); break;\n"))}}
                    }
                });
            }
        }
        extern "C" int run(int kernel, const GatherParameters* of_ranks, int ranks, int missing, int blocks, int threads, int calls)
        {
            std::vector<pid_t> processes;
            for (int r = 0; r < ranks; r++)
            {
                const pid_t process = r == missing ? -1 : fork();
                if (process == 0)
                {
                    alarm(120);
                    for (int call = 0; call < calls; call++)
                    {
                        // The others go as far ahead as they may.
                        usleep(call > 0 && call % ranks == r ? 2000 : 0);
                        run_rank(kernel, of_ranks[r], blocks, threads);
                    }

                    _exit(0);
                }

                processes.push_back(process);
            }

            int wrong = 0;
            for (pid_t process : processes)
            {
                int status = 0;
                wrong += process > 0 && (waitpid(process, &status, 0) != process || status != 0);
            }

            return wrong;
        }
        """;

    private KernelUnit UnitOf(ReductionWay way, bool some = false) => ReductionKernels.UnitOf(way, MoeElementType.BFloat16, _shape, _ranks, some);

    private float[][] Parts(Random random, int rows) => [.. Enumerable.Range(0, _ranks).Select(_ => Numbers(random, rows * _width))];

    // Experts that go unevenly into the ranks, ids that are nobody's, tokens with all of their experts in one place, and tokens with none.
    private (int[][] Ids, Func<int, int, bool> Has) Choices(Random random, int rows, int tensorCount)
    {
        if (tensorCount == 0)
        {
            return ([], (_, _) => true);
        }

        int experts = ExpertCount(tensorCount);
        int[][] ids = [.. Enumerable.Range(0, rows * _ranks).Select(token => Enumerable.Range(0, TopK)
            .Select(_ => token % 3 == 0 ? token % experts : token % 7 == 1 ? experts + random.Next(2) : random.Next(-1, experts)).ToArray())];
        return (ids, (token, rank) => ids[token].Any(id => id >= 0 && id < experts && id / ExpertsOfRank == rank / tensorCount));
    }

    private int ExpertCount(int tensorCount) => (_ranks / tensorCount * ExpertsOfRank) - 1;

    private ExpertParameters Experts(int rank, int[][] ids, int tensorCount)
    {
        if (tensorCount == 0)
        {
            return default;
        }

        var all = new MoeTensorView((nint)Tensor(rank, 3), MoeDevice.Cpu, MoeElementType.Int32, ids.Length, TopK);
        ids.SelectMany(row => row).ToArray().CopyTo(new Span<int>((void*)all.Address, ids.Length * TopK));
        return ExpertParameters.Of(new MoeTokenExperts { Ids = all, ExpertCount = ExpertCount(tensorCount), TensorCount = tensorCount }, rank, _ranks);
    }

    private byte* Of(int rank) => _memory + (rank * _rankBytes);

    private Span<byte> Slots(int rank) => new(Of(rank), checked((int)(2 * _layout.SetBytes)));

    private uint* Words(int rank) => (uint*)(Of(rank) + _layout.ByteCount);

    private byte* Tensor(int rank, int place) => Of(rank) + _layout.ByteCount + WordBytes + (place * _tensorBytes);

    private float[] Row(int rank, int place, int row) =>
        [.. new Span<ushort>(Tensor(rank, place) + ((long)row * _shape.RowBytes), _width).ToArray().Select(MoeBFloat16.ToSingle)];

    // Slots begin empty.
    private void EmptySlots()
    {
        for (int rank = 0; rank < _ranks; rank++)
        {
            Slots(rank).Fill(Empty);
        }
    }

    private void LaunchReduction(ReductionWay way, int rows, int blocks, int ahead, float[][] parts, Adjust adjust, int missing = -1, int? kernel = null, int calls = 1)
    {
        int shares = (rows + _ranks - 1) / _ranks;
        int grid = way switch
        {
            ReductionWay.TwoShot => Math.Min(shares, (blocks + _ranks - 1) / _ranks) * _ranks,
            ReductionWay.Push or ReductionWay.Pull => Math.Min(rows, blocks),
            _ => Math.Min(shares, blocks),
        };
        Launch(kernel ?? (int)way, grid, _shape.Threads, missing, p =>
        {
            Write(Of(p->Group.Rank) + _layout.PartialOffset, parts[p->Group.Rank]);
            p->Group.Partial = (nint)(Of(p->Group.Rank) + _layout.PartialOffset);
            p->Group.Rows = rows;
            p->Group.Ahead = ahead;
            adjust(p);
        }, calls);
    }

    private void LaunchGather(GatherWay way, int rows, int blocks, int rowBytes, int gap, int missing, Adjust adjust, int calls = 1)
    {
        int slotBytes = way == GatherWay.Short ? ShortRow.SlotBytes(rowBytes) : way == GatherWay.Pull ? rowBytes : (rowBytes + 15) / 16 * 16;
        int grid = way == GatherWay.Short ? Math.Min(blocks, ShortRow.Blocks(rows, slotBytes)) : Math.Min(blocks, rows);
        Launch(Enum.GetValues<ReductionWay>().Length + 1 + (int)way, grid, ReductionKernels.ThreadsOf(way), missing, p =>
        {
            p->Group.Partial = (nint)Tensor(p->Group.Rank, 1);
            p->Group.Rows = rows;
            p->Group.RowBytes = rowBytes;
            p->Group.OutputStride = rowBytes + gap;
            p->InputStride = rowBytes + gap;
            p->RankStride = rows * (rowBytes + gap);
            p->SlotBytes = slotBytes;
            adjust(p);
        }, calls);
    }

    private void Launch(int kernel, int blocks, int threads, int missing, Adjust adjust, int calls = 1)
    {
        var parameters = new GatherParameters[_ranks];
        fixed (GatherParameters* all = parameters)
        {
            for (int rank = 0; rank < _ranks; rank++)
            {
                new Span<byte>(Tensor(rank, 0), checked((int)(2 * _tensorBytes))).Fill(Poison);
                GatherParameters* p = all + rank;
                p->Group = new GroupParameters
                {
                    State = (nint)Words(rank),
                    Host = (nint)(Words(rank) + 4),
                    Patience = 60_000_000_000,
                    Output = (nint)Tensor(rank, 0),
                    ResidualStride = _shape.RowBytes,
                    ResidualOutStride = _shape.RowBytes,
                    OutputStride = _shape.RowBytes,
                    SetBytes = _layout.SetBytes,
                    FlagsOffset = _layout.FlagsOffset,
                    PartialOffset = _layout.PartialOffset,
                    SumsOffset = _layout.SumsOffset,
                    SumsBytes = _layout.SumsBytes,
                    Rank = rank,
                    Ranks = _ranks,
                    RowBytes = _shape.RowBytes,
                    Epsilon = Epsilon,
                    InverseWidth = 1f / _width,
                };
                for (int i = 0; i < _ranks; i++)
                {
                    p->Group.Memory[i] = (nint)Of(i);
                }

                adjust(p);
            }

            int wrong = ((delegate* unmanaged<int, GatherParameters*, int, int, int, int, int, int>)_library.Export("run"))(kernel, all, _ranks, missing, blocks, threads, calls);
            Assert.True(wrong == 0, $"{wrong} ranks of kernel {kernel} did not come to their end");
        }
    }

    private delegate void Adjust(GatherParameters* parameters);
}
