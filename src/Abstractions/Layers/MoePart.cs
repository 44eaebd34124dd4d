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

    /// <summary>This rank's number among all, and how many there are: what shared experts are divided by.</summary>
    internal (int Rank, int Count) Flat => ((ExpertRank * TensorCount) + TensorRank, TensorCount * ExpertCount);

    /// <summary>Checks that the ranks are in range.</summary>
    /// <exception cref="MoeException">One is not; the message names it.</exception>
    public void Validate()
    {
        if (TensorCount < 1 || TensorRank < 0 || TensorRank >= TensorCount)
        {
            throw new MoeException(MoeReason.Configuration, $"Tensor rank {TensorRank} of {TensorCount} is invalid: 0 to count − 1 is expected.");
        }

        if (ExpertCount < 1 || ExpertRank < 0 || ExpertRank >= ExpertCount)
        {
            throw new MoeException(MoeReason.Configuration, $"Expert rank {ExpertRank} of {ExpertCount} is invalid: 0 to count − 1 is expected.");
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
}
