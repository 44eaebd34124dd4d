namespace Moe.Plugins.Conformance;

/// <summary>A call that all ranks make, with numbers that follow from its place, and what float64 makes of them.</summary>
/// <param name="Place">Its number among the calls.</param>
/// <param name="Kind">What the ranks do.</param>
/// <param name="Rows">Rows that each brings.</param>
/// <param name="HasResidual">Whether a residual is added.</param>
/// <param name="NormType">The type of the norm's weight; null for no norm.</param>
/// <param name="TensorCount">Ranks that share each of the experts that the rows' tokens go to; 0 where every row goes everywhere.</param>
internal sealed record GroupCall(
    int Place, MoeGroupCallKind Kind, int Rows, bool HasResidual = false, MoeElementType? NormType = null, int TensorCount = 0)
{
    /// <summary>Choices of each token.</summary>
    public const int TopK = 3;

    public const float Epsilon = 1e-5f;

    // What residual and weight are of: no rank.
    private const int Shared = -1;

    private const int ExpertsOfRank = 3;

    /// <summary>Calls of every kind, with other rows every time: none, one, and as many as there may be.</summary>
    public static IReadOnlyList<GroupCall> Sequence(int ranks)
    {
        var calls = new List<GroupCall>();
        int[] rows = [1, GroupSize.MaxTokens, 0, 7, 2, 33, 1, ranks, 5, GroupSize.MaxTokens, 3, 1];
        foreach (int count in rows)
        {
            int even = count / ranks * ranks;
            calls.Add(new(calls.Count, MoeGroupCallKind.ReduceAddNorm, count, HasResidual: true, MoeElementType.BFloat16));
            calls.Add(new(calls.Count, MoeGroupCallKind.AllReduce, count));
            calls.Add(new(calls.Count, MoeGroupCallKind.ReduceScatter, even));
            calls.Add(new(calls.Count, MoeGroupCallKind.ReduceAddNorm, count, HasResidual: false, MoeElementType.Float32));
            calls.Add(new(calls.Count, MoeGroupCallKind.AllGather, count));
            calls.Add(new(calls.Count, MoeGroupCallKind.ReduceAddNorm, count, HasResidual: true));
        }

        return calls;
    }

    /// <summary>Exchanges of tokens whose experts are known, with exchanges of all rows between them.</summary>
    public static IReadOnlyList<GroupCall> ChosenSequence(int ranks)
    {
        var calls = new List<GroupCall>();
        foreach (int count in new[] { 1, GroupSize.MaxTokens / ranks, 0, 3, 2, 1, 1, 4 })
        {
            foreach (int tensorCount in Enumerable.Range(0, ranks).Where(i => i == 0 || ranks % i == 0))
            {
                calls.Add(new(calls.Count, MoeGroupCallKind.AllGather, count, TensorCount: tensorCount));
                calls.Add(new(calls.Count, MoeGroupCallKind.ReduceScatter, count * ranks, TensorCount: tensorCount));
            }
        }

        return calls;
    }

    /// <summary>The experts of the tokens of all ranks, [tokens, top-k] int32: in one place and apart, of some ranks never, and ids that are no expert's.</summary>
    public MoeBuffer Ids(int ranks, int seed)
    {
        int tokens = Kind == MoeGroupCallKind.AllGather ? Rows * ranks : Rows;
        int experts = Math.Max(1, ExpertCount(ranks));
        var random = new Random((seed * 1009) + Place);
        MoeBuffer ids = MoeBuffer.OnHost(MoeElementType.Int32, tokens, TopK);
        ids.CopyFrom([.. Enumerable.Range(0, tokens * TopK).Select(i => (i / TopK % 4) switch
        {
            0 => i / TopK % experts,
            1 when Place % 3 == 0 => random.Next(2) == 0 ? -1 : experts,
            2 => random.Next(Math.Min(2, experts)),
            _ => random.Next(-1, experts),
        })]);
        return ids;
    }

    /// <summary>Which tokens of all ranks have an expert on a rank.</summary>
    public bool[] Wants(int ranks, int rank, int seed)
    {
        using MoeBuffer buffer = Ids(ranks, seed);
        int[] ids = new int[buffer.View.Rows * TopK];
        buffer.CopyToBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(ids.AsSpan()));
        return [.. ids.Chunk(TopK).Select(row =>
            TensorCount == 0 || row.Any(id => id >= 0 && id < ExpertCount(ranks) && id / ExpertsOfRank == rank / TensorCount))];
    }

    /// <summary>Experts of all ranks; the last rank has fewer than the others.</summary>
    public int ExpertCount(int ranks) => TensorCount == 0 ? 0 : (ranks / TensorCount * ExpertsOfRank) - 1;

    /// <summary>Rows of a rank's result.</summary>
    public int OutputRows(int ranks) => Kind switch
    {
        MoeGroupCallKind.AllGather => Rows * ranks,
        MoeGroupCallKind.ReduceScatter => Rows / ranks,
        _ => Rows,
    };

    /// <summary>What a rank brings; of a token that it has no expert of, where experts are told of what is scattered, zeros.</summary>
    public MoeBuffer Part(GroupSize size, int rank, int seed)
    {
        MoeBuffer part = Numbers(size.Type, Rows, size.Width, seed, rank);
        if (TensorCount > 0 && Kind == MoeGroupCallKind.ReduceScatter)
        {
            bool[] wants = Wants(size.Ranks, rank, seed);
            float[] values = part.ToSingles();
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = wants[i / size.Width] ? values[i] : 0;
            }

            part.CopyFrom((ReadOnlySpan<float>)values);
        }

        return part;
    }

    /// <summary>The residual, the same on all ranks.</summary>
    public MoeBuffer Residual(GroupSize size, int seed) => Numbers(size.Type, Rows, size.Width, seed, Shared);

    /// <summary>The norm's weight, the same on all ranks.</summary>
    public MoeBuffer Weight(GroupSize size, int seed) => Numbers(NormType ?? size.Type, 1, size.Width, seed, Shared - 1);

    /// <summary>What a rank gets, in float64: the result, and the sum with the residual.</summary>
    public (double[] Output, double[] Sum) Expect(GroupSize size, int rank, int seed)
    {
        double[] all = new double[Rows * size.Width];
        List<double[]> parts = [.. Enumerable.Range(0, size.Ranks).Select(from => Values(Part(size, from, seed)))];
        if (Kind == MoeGroupCallKind.AllGather)
        {
            // What nobody needs may be anything.
            bool[] wants = Wants(size.Ranks, rank, seed);
            return ([.. parts.SelectMany(part => part).Select((value, i) => wants[i / size.Width] ? value : double.NaN)], []);
        }

        for (int i = 0; i < all.Length; i++)
        {
            all[i] = parts.Sum(part => part[i]);
        }

        if (Kind == MoeGroupCallKind.ReduceScatter)
        {
            int share = all.Length / size.Ranks;
            return (all[(rank * share)..((rank + 1) * share)], []);
        }

        if (HasResidual)
        {
            double[] residual = Values(Residual(size, seed));
            for (int i = 0; i < all.Length; i++)
            {
                all[i] += residual[i];
            }
        }

        return (NormType is null ? all : Norm(all, size, seed), all);
    }

    /// <summary>For people.</summary>
    public override string ToString() => $"call {Place}, {Kind} of {Rows} rows{(TensorCount > 0 ? $" of tokens with experts that {TensorCount} ranks share" : "")}{(HasResidual ? " with a residual" : "")}{(NormType is { } type ? $", normed with a weight of {type}" : "")}";

    private double[] Norm(double[] sums, GroupSize size, int seed)
    {
        double[] weight = Values(Weight(size, seed));
        double[] normed = new double[sums.Length];
        for (int row = 0; row < Rows; row++)
        {
            double squares = 0;
            for (int column = 0; column < size.Width; column++)
            {
                double value = sums[(row * size.Width) + column];
                squares += value * value;
            }

            double factor = 1 / Math.Sqrt((squares / size.Width) + Epsilon);
            for (int column = 0; column < size.Width; column++)
            {
                normed[(row * size.Width) + column] = sums[(row * size.Width) + column] * factor * weight[column];
            }
        }

        return normed;
    }

    private static double[] Values(MoeBuffer buffer)
    {
        using (buffer)
        {
            return [.. buffer.ToSingles().Select(value => (double)value)];
        }
    }

    private MoeBuffer Numbers(MoeElementType type, int rows, int columns, int seed, int rank)
    {
        using MoeBuffer bell = RandomInput.Create(rows, columns, (((seed * 1009) + Place) * 101) + rank + 2);
        MoeBuffer numbers = MoeBuffer.OnHost(type, rows, columns);
        numbers.CopyFrom((ReadOnlySpan<float>)bell.ToSingles());
        return numbers;
    }
}
