namespace Moe.Plugins;

/// <summary>A group that is asked for. All its buffers are sized from this, once.</summary>
public sealed record MoeGroupRequest
{
    private static readonly TimeSpan MaxTimeout = TimeSpan.FromDays(1);

    /// <summary>
    /// A device for each rank, in the order of the ranks. Where a backend can have several ranks on one, it comes several times. With a
    /// <see cref="Rendezvous"/>, only that of this process's rank is looked at: devices have other names in other processes.
    /// </summary>
    public required IReadOnlyList<MoeDevice> Devices { get; init; }

    /// <summary>The most rows that a rank brings at once.</summary>
    public required int MaxTokens { get; init; }

    /// <summary>Columns of what is summed: the model's hidden size.</summary>
    public required int Width { get; init; }

    /// <summary>What is summed, BF16 or float32: the output type of the layers. The sums themselves are of float32.</summary>
    public MoeElementType ElementType { get; init; } = MoeElementType.BFloat16;

    /// <summary>How long ranks wait for one that does not come before the group ends with <see cref="MoeReason.TimedOut"/>.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The clock that the host's part of <see cref="Timeout"/> is read from; kernels that wait have their device's own.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>
    /// Where each rank is a process of its own: how this one reaches the others. Null where all are threads of this process. Whoever made it
    /// disposes it, after the group.
    /// </summary>
    public IMoeRendezvous? Rendezvous { get; init; }

    /// <summary>The ranks that are in this process: that of the <see cref="Rendezvous"/>, or all.</summary>
    public IReadOnlyList<int> LocalRanks => Rendezvous is null ? [.. Enumerable.Range(0, Devices.Count)] : [Rendezvous.Rank];

    /// <summary>Checks the sizes, without looking at a device.</summary>
    /// <exception cref="MoeException">One is out of range; the message names it and says what was expected.</exception>
    public void Validate()
    {
        Require(Devices is { Count: >= 1 }, $"{nameof(Devices)} is empty; a device for each rank is expected");
        Require(MaxTokens >= 1, $"{nameof(MaxTokens)} is {MaxTokens}; at least 1 is expected");
        Require(Width >= 1, $"{nameof(Width)} is {Width}; at least 1 is expected");
        Require(
            ElementType is MoeElementType.BFloat16 or MoeElementType.Float32,
            $"{nameof(ElementType)} is {ElementType}; {MoeElementType.BFloat16} or {MoeElementType.Float32} is expected");
        Require(Timeout > TimeSpan.Zero && Timeout <= MaxTimeout, $"{nameof(Timeout)} is {Timeout}; more than 0 and at most {MaxTimeout} is expected");
        Require(
            Rendezvous is null || Rendezvous.Count == Devices.Count,
            $"{nameof(Devices)} has {Devices.Count}, and {nameof(Rendezvous)} {Rendezvous?.Count} processes; a device for each of them is expected");
        Require(Clock is not null, $"{nameof(Clock)} is null");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new MoeException(MoeReason.Configuration, $"The group's request is invalid: {message}.");
        }
    }
}
