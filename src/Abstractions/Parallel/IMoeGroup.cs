namespace Moe.Plugins;

/// <summary>
/// Ranks that exchange tensors. It owns what they share: memory that all of them reach, and the clock that no wait outlasts. A rank that
/// fails, does not come or brings other sizes than the rest ends the group, never the process; layers keep their weights, and go on with
/// the members of a new group.
/// </summary>
/// <remarks>
/// Dispose after the forwards of all ranks. Where a rank is still at it, the group is aborted first; memory that a rank may still read is
/// not freed under it.
/// </remarks>
public interface IMoeGroup : IDisposable
{
    /// <summary>
    /// The ends of the ranks that are in this process (<see cref="MoeGroupRequest.LocalRanks"/>), in their order: all ranks' where they are
    /// threads, one where each is a process. They are the group's and live as long as it does.
    /// </summary>
    IReadOnlyList<IMoeCommunicator> Members { get; }

    /// <summary>
    /// Why the group has ended: <see cref="MoeReason.PeerFailed"/>, <see cref="MoeReason.TimedOut"/> or
    /// <see cref="MoeReason.ContractBroken"/>, the rank named; null while it goes on. The first failure counts.
    /// </summary>
    MoeException? Failure { get; }

    /// <summary>
    /// Ends the group: ranks that wait stop waiting and throw, as every later call does. From any thread; returns at once; a group that has
    /// ended stays as it is.
    /// </summary>
    /// <param name="why">A sentence for <see cref="Failure"/>, which has <see cref="MoeReason.PeerFailed"/>.</param>
    void Abort(string why);
}
