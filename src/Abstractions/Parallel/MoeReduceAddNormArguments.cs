namespace Moe.Plugins;

/// <summary>What the reduction reads and writes that adds the residual and norms.</summary>
public readonly struct MoeReduceAddNormArguments
{
    /// <summary>This rank's part, lent by the same communicator.</summary>
    public required MoePartial Partial { get; init; }

    /// <summary>The residual and the norm.</summary>
    public required MoeAddNorm AddNorm { get; init; }

    /// <summary>[rows, width] of the group's element type, any row stride: the normed sum. Nothing outside of it is written.</summary>
    public required MoeTensorView Output { get; init; }

    /// <summary>The stream to enqueue on, a raw handle of the backend's; 0 for its default stream.</summary>
    public nint Stream { get; init; }
}
