namespace Moe.Plugins;

/// <summary>What became of one kernel.</summary>
public sealed record MoeKernelReport
{
    /// <summary>The kernel's name.</summary>
    public required string Kernel { get; init; }

    /// <summary>The architecture it was compiled for, <c>sm_90a</c>.</summary>
    public required string Architecture { get; init; }

    /// <summary>Registers a thread.</summary>
    public int Registers { get; init; }

    /// <summary>Statically declared shared memory of a block, bytes.</summary>
    public int SharedBytes { get; init; }

    /// <summary>Bytes a thread that did not fit into registers and are stored to local memory.</summary>
    public int SpillBytes { get; init; }

    /// <summary>Seconds that the compilation of the kernel's source took; 0 where it was found compiled.</summary>
    public double Seconds { get; init; }

    /// <summary>Why it did not compile; null where it did.</summary>
    public string? Error { get; init; }
}
