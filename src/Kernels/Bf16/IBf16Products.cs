
namespace Moe.Plugins.Kernels;

/// <summary>Both products of all experts, from the caller's rows to partial results that the combine sums.</summary>
internal interface IBf16Products
{
    /// <summary>Rows of a row block that the sort is to make for so many tokens; 0 for none.</summary>
    int BlockRows(int tokens);

    /// <summary>Enqueues both products.</summary>
    /// <returns>How the partial results lie.</returns>
    PartialLayout Run(in ExpertRows rows, Bf16Weights weights, Bf16Workspace workspace, nint stream);
}
