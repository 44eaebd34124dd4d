namespace Moe.Plugins;

/// <summary>Where the processes of a group meet, and which of them this one is.</summary>
public sealed record MoeRendezvousOptions
{
    /// <summary>
    /// The machine of rank 0, a name or an address; <c>localhost</c> is reached only from that machine. Or <c>unix:</c> and the whole path of a socket,
    /// for processes of one user on one machine: rank 0 makes it, and no other user reaches it. Its folder is made where it is not there, and refused
    /// where others may write in it.
    /// </summary>
    public required string Address { get; init; }

    /// <summary>
    /// The TCP port that rank 0 listens on until all have come; not looked at where they meet at a path. Whoever reaches it can take part, other users of
    /// the machine too: it is for a network that is trusted.
    /// </summary>
    public int Port { get; init; }

    /// <summary>This process, 0 to <see cref="Count"/> − 1.</summary>
    public required int Rank { get; init; }

    /// <summary>Processes in all.</summary>
    public required int Count { get; init; }

    /// <summary>What tells these processes from those of another job that uses the same port; the same on all of them.</summary>
    public string Job { get; init; } = "";

    /// <summary>How long the processes wait for each other to come.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The clock of the time limits.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    internal void Validate()
    {
        Require(!string.IsNullOrWhiteSpace(Address), $"{nameof(Address)} is empty; the machine of rank 0 is expected");
        string? path = MeetingPlace.PathOf(this);
        Require(path is null || MeetingPlace.Refuse(path) is null, $"{nameof(Address)} is '{Address}': {(path is null ? "" : MeetingPlace.Refuse(path))}");
        Require(path is not null || Port is > 0 and <= 65535, $"{nameof(Port)} is {Port}; 1 to 65535 is expected");
        Require(Count >= 1, $"{nameof(Count)} is {Count}; at least 1 is expected");
        Require(Rank >= 0 && Rank < Count, $"{nameof(Rank)} is {Rank}; 0 to {Count - 1} is expected");
        Require(Job is not null, $"{nameof(Job)} is null");
        Require(Clock is not null, $"{nameof(Clock)} is null");
        Require(Timeout > TimeSpan.Zero && Timeout <= TimeSpan.FromDays(1), $"{nameof(Timeout)} is {Timeout}; more than 0 and at most a day is expected");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new MoeException(MoeReason.Configuration, $"The rendezvous' options are invalid: {message}.");
        }
    }
}
