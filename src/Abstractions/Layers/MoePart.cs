namespace Moe.Plugins;

/// <summary>
/// The share of a layer that one rank has: a range of the experts, and of each expert a range of the intermediate size. The ranks'
/// outputs are summed.
/// </summary>
public sealed record MoePart
{
    /// <summary>The whole layer.</summary>
    public static MoePart Whole { get; } = new();

    /// <summary>This rank's number among those that share each expert, 0 to <see cref="TensorCount"/> − 1.</summary>
    public int TensorRank { get; init; }

    /// <summary>Ranks that share each expert.</summary>
    public int TensorCount { get; init; } = 1;

    /// <summary>This rank's number among those that share the experts, 0 to <see cref="ExpertCount"/> − 1.</summary>
    public int ExpertRank { get; init; }

    /// <summary>Ranks that share the experts.</summary>
    public int ExpertCount { get; init; } = 1;

    /// <summary>Whether the part is all of the layer.</summary>
    public bool IsWhole => TensorCount == 1 && ExpertCount == 1;

    /// <summary>Number of all ranks, whose outputs are summed. Shared experts are divided among them all.</summary>
    public int RankCount => checked(TensorCount * ExpertCount);

    /// <summary>This rank's number among all: those that share an expert are neighbours.</summary>
    public int Rank => checked((ExpertRank * TensorCount) + TensorRank);

    /// <summary>The part of a rank.</summary>
    /// <param name="rank">0 to <paramref name="tensorCount"/> × <paramref name="expertCount"/> − 1.</param>
    /// <param name="tensorCount">Ranks that share each expert.</param>
    /// <param name="expertCount">Ranks that share the experts.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such rank.</exception>
    public static MoePart OfRank(int rank, int tensorCount, int expertCount)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(tensorCount, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(expertCount, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(rank);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(rank, checked(tensorCount * expertCount));
        return new MoePart
        {
            TensorRank = rank % tensorCount,
            TensorCount = tensorCount,
            ExpertRank = rank / tensorCount,
            ExpertCount = expertCount,
        };
    }

    /// <summary>Checks that the ranks are in range.</summary>
    /// <exception cref="MoeException">One is not; the message names it.</exception>
    public void Validate()
    {
        if (TensorCount < 1 || TensorRank < 0 || TensorRank >= TensorCount)
        {
            throw new MoeException(MoeReason.Configuration, $"{nameof(TensorRank)} {TensorRank} of {nameof(TensorCount)} {TensorCount} is invalid: 0 to count − 1 is expected.");
        }

        if (ExpertCount < 1 || ExpertRank < 0 || ExpertRank >= ExpertCount)
        {
            throw new MoeException(MoeReason.Configuration, $"{nameof(ExpertRank)} {ExpertRank} of {nameof(ExpertCount)} {ExpertCount} is invalid: 0 to count − 1 is expected.");
        }
    }

    /// <summary>The range of a size that a rank has: whole blocks, the last rank the rest; empty where there are fewer blocks than ranks.</summary>
    internal static (int First, int Count) Range(int size, int blockSize, int rank, int count)
    {
        int blocks = (size + blockSize - 1) / blockSize;
        int share = (blocks + count - 1) / count * blockSize;
        int first = Math.Min(size, rank * share);
        return (first, Math.Min(size, first + share) - first);
    }

    /// <summary>The largest number of ranks below another one of which each has a range: 1 at least.</summary>
    internal static int MostBelow(int count, int size, int blockSize)
    {
        int ranks = Math.Max(1, Math.Min(count - 1, (size + blockSize - 1) / blockSize));
        while (Range(size, blockSize, ranks - 1, ranks).Count == 0)
        {
            ranks--;
        }

        return ranks;
    }
}
