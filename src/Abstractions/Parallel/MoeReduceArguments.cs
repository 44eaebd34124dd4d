namespace Moe.Plugins;

/// <summary>What a plain reduction reads and writes.</summary>
public readonly struct MoeReduceArguments
{
    /// <summary>This rank's part, lent by the same communicator.</summary>
    public required MoePartial Partial { get; init; }

    /// <summary>
    /// [rows, width] of the group's element type, any row stride; of a reduction that scatters [rows ÷ ranks, width]. Nothing outside of it
    /// is written.
    /// </summary>
    public required MoeTensorView Output { get; init; }

    /// <summary>
    /// Of a reduction that scatters: which tokens the rows are, where the part of a rank that has none of a token's experts is nothing: it is zeros, or,
    /// where <see cref="MoeGatherArguments.Experts"/> has kept the token's row from that rank, undefined. Whoever leaves out rows there leaves out those here.
    /// All ranks say the same. <see cref="IMoeCommunicator.AllReduce"/> does not look at it.
    /// </summary>
    public MoeTokenExperts Experts { get; init; }

    /// <summary>The stream to enqueue on, a raw handle of the backend's; 0 for its default stream.</summary>
    public nint Stream { get; init; }
}
