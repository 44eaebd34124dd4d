namespace Moe.Plugins;

/// <summary>
/// The processes of a group as they reach each other before there is a group, and beside it: a few bytes, not tensors of every step; who has
/// gone; and why it ended. The host offers it to plugins through <see cref="MoeGroupRequest.Rendezvous"/>, so that no plugin needs a network
/// of its own.
/// </summary>
/// <remarks>
/// It ends for all processes when one of them ends it, dies, leaves while the others still exchange, or does not come in time. What it raises
/// comes on a thread of its own, which must not be kept waiting.
/// </remarks>
public interface IMoeRendezvous : IDisposable
{
    /// <summary>The rank of this process, 0 to <see cref="Count"/> − 1.</summary>
    int Rank { get; }

    /// <summary>Processes of the group, each with one rank.</summary>
    int Count { get; }

    /// <summary>
    /// Why it has ended, the same on all processes that are still there: <see cref="MoeReason.PeerFailed"/>, <see cref="MoeReason.TimedOut"/>,
    /// <see cref="MoeReason.ContractBroken"/> or <see cref="MoeReason.Configuration"/>, the rank named; null while it goes on.
    /// </summary>
    MoeException? Failure { get; }

    /// <summary>
    /// Raised once when it has ended, as soon as all processes that are left have <see cref="Failure"/>, or after 2 seconds. Whoever lets go
    /// what waits for other ranks does it here and not before: what is let go in the middle may leave garbage with those ranks,
    /// which they would take for results.
    /// </summary>
    event Action<MoeException>? Ended;

    /// <summary>Raised for each message of another process: its rank and the bytes. Of one sender they come in the order of their sending.</summary>
    event Action<int, ReadOnlyMemory<byte>>? Received;

    /// <summary>
    /// Gives bytes and gets those of all processes, by rank. All of them make the same calls in the same order, one at a time; the call waits
    /// for the last one.
    /// </summary>
    /// <param name="what">What is exchanged, a few words: where two processes differ in it, it ends with <see cref="MoeReason.ContractBroken"/>.</param>
    /// <param name="own">This process's bytes.</param>
    /// <param name="timeout">How long the first one waits for the others before it ends with <see cref="MoeReason.TimedOut"/>; 30 days at most.</param>
    /// <exception cref="MoeException">It has ended, now or before: <see cref="Failure"/>.</exception>
    IReadOnlyList<ReadOnlyMemory<byte>> Exchange(string what, ReadOnlyMemory<byte> own, TimeSpan timeout);

    /// <summary>Sends bytes to all other processes, and does not wait. Where it has ended, nothing happens.</summary>
    void Send(ReadOnlyMemory<byte> message);

    /// <summary>Ends it for all processes. From any thread; returns at once; one that has ended stays as it is.</summary>
    /// <param name="reason">For <see cref="Failure"/>.</param>
    /// <param name="message">A sentence that names the rank.</param>
    void Abort(MoeReason reason, string message);

    /// <summary>
    /// Says that this process is done, and waits until all others are too or are no more: then nobody reaches what is this process's. No call
    /// but <see cref="IDisposable.Dispose"/> follows.
    /// </summary>
    /// <returns>Whether that is so within the time.</returns>
    bool Leave(TimeSpan timeout);
}
