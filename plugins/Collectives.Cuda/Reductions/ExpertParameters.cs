using System.Runtime.InteropServices;

namespace Moe.Plugins.Collectives;

/// <summary><c>TokenExperts</c> of <c>group.cuh</c>, where the members are explained.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ExpertParameters
{
    public nint Ids;
    public long IdsStride;
    public long RankStride;
    public ulong TensorBits;
    public int TopK;
    public int Experts;
    public int ExpertsOfRank;
    public int TensorRanks;
    public int First;
    public int Count;

    /// <summary>Of a launch that begins with each rank's first token; the default value where every rank wants every row.</summary>
    /// <param name="experts">The call's.</param>
    /// <param name="rank">This rank.</param>
    /// <param name="ranks">Ranks of the group.</param>
    public static ExpertParameters Of(in MoeTokenExperts experts, int rank, int ranks)
    {
        if (experts.IsEmpty || experts.TensorCount == ranks)
        {
            return default;
        }

        int each = experts.ExpertsOfRank(ranks);
        int first = Math.Min(experts.ExpertCount, rank / experts.TensorCount * each);
        return new ExpertParameters
        {
            Ids = experts.Ids.Address,
            IdsStride = experts.Ids.RowStride,
            RankStride = experts.Ids.Rows / ranks * experts.Ids.RowStride,
            TensorBits = (1ul << experts.TensorCount) - 1,
            TopK = experts.Ids.Columns,
            Experts = experts.ExpertCount,
            ExpertsOfRank = each,
            TensorRanks = experts.TensorCount,
            First = first,
            Count = Math.Min(experts.ExpertCount, first + each) - first,
        };
    }

    /// <summary>The same of a launch that begins further on.</summary>
    public readonly ExpertParameters From(int row) => Ids == 0 ? this : this with { Ids = checked((nint)(Ids + (row * IdsStride))) };
}
