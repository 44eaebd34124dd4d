using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary>A router's program as the kernels take it: <c>RouterProgram</c> of <c>router_program.cuh</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RouterProgram
{
    /// <summary>The most groups of experts: a lane of a warp has one.</summary>
    public const int MaxGroups = 32;

    public nint SelectionBias;
    public nint Table;
    public nint TokenIds;
    public long TokenIdStride;
    public int Vocabulary;
    public int Score;
    public int SoftmaxOfChosen;
    public int Divide;
    public float Epsilon;
    public float Scale;
    public int Groups;
    public int TopGroups;
    public int BestOfGroup;
    public int Reserved;

    /// <summary>Why the kernels have no such router; null where they have.</summary>
    public static string? Refuse(MoeRouter router)
    {
        bool isKnown = router.Score is MoeRouterScore.Logit or MoeRouterScore.Softmax or MoeRouterScore.Sigmoid or MoeRouterScore.SqrtSoftplus
            && router.Weights is MoeRouterWeights.ScoreOfChosen or MoeRouterWeights.SoftmaxOfChosen
            && router.GroupRule is MoeGroupRule.Max or MoeGroupRule.SumOfTopTwo
            && router.Choice is MoeRouterChoice.TopK or MoeRouterChoice.TokenTable
            && router.WeightOn is MoeWeightOn.Output or MoeWeightOn.Input
            && router.LogitPrecision is MoeElementType.BFloat16 or MoeElementType.Float32;
        return !isKnown ? $"its router has no program {router}"
            : router.GroupCount > MaxGroups ? $"{router.GroupCount} groups of experts are more than the {MaxGroups} that its router takes"
            : null;
    }

    /// <summary>The kernels' number of a program that has no constants (<c>router.cuh</c>, <c>scoring</c>); null for others.</summary>
    public static int? PresetOf(MoeRouter router)
    {
        MoeRouter plain = router with { HasLogitBias = false, LogitPrecision = MoeElementType.Float32, WeightOn = MoeWeightOn.Output };
        return plain == MoeRouter.TopKThenSoftmax ? 0
            : plain == MoeRouter.SoftmaxThenTopK ? 1
            : plain == MoeRouter.SoftmaxThenTopKRenormalized ? 2
            : null;
    }

    /// <summary>A program that is not refused, without addresses.</summary>
    public static RouterProgram Of(MoeRouter router) => new()
    {
        Score = router.Score switch
        {
            MoeRouterScore.Logit => 0,
            MoeRouterScore.Softmax => 1,
            MoeRouterScore.Sigmoid => 2,
            MoeRouterScore.SqrtSoftplus => 3,
            _ => throw new MoeException(MoeReason.Format, Refuse(router)!),
        },
        SoftmaxOfChosen = router.Weights == MoeRouterWeights.SoftmaxOfChosen ? 1 : 0,
        Divide = !router.Renormalize ? 0 : router.EpsilonIsFloor ? 2 : 1,
        Epsilon = router.Epsilon,
        Scale = router.Scale,
        Groups = router.GroupCount,
        TopGroups = router.TopGroups,
        BestOfGroup = router.GroupRule == MoeGroupRule.Max ? 1 : 0,
    };

    /// <summary>The program with a call's token ids.</summary>
    public readonly RouterProgram With(in MoeTensorView tokenIds)
    {
        RouterProgram program = this;
        if (Table != 0)
        {
            program.TokenIds = tokenIds.Address;
            program.TokenIdStride = tokenIds.RowStride / sizeof(int);
        }

        return program;
    }
}
