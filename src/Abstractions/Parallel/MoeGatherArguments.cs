namespace Moe.Plugins;

/// <summary>What a gathering reads and writes.</summary>
public readonly struct MoeGatherArguments
{
    /// <summary>[rows, columns] of any type, any row stride: this rank's rows, at most the group's most tokens.</summary>
    public required MoeTensorView Input { get; init; }

    /// <summary>[ranks × rows, columns] of the same type, any row stride. Nothing outside of it is written.</summary>
    public required MoeTensorView Output { get; init; }

    /// <summary>
    /// Which tokens the rows are, where a rank wants only those of its own experts: what the output holds of the others is then undefined. The rank that
    /// brings a row may get it or not. All ranks say the same.
    /// </summary>
    public MoeTokenExperts Experts { get; init; }

    /// <summary>The stream to enqueue on, a raw handle of the backend's; 0 for its default stream.</summary>
    public nint Stream { get; init; }
}
