namespace Moe.Plugins.Cpu;

/// <summary>A group whose members bring each other what they compute from.</summary>
internal interface IExchangingGroup : IMoeGroup
{
    /// <summary>Does a rank's share of an exchange: waits for what the others bring, and has its member compute from that.</summary>
    void Exchange(CpuCommunicator member, in Post post);

    /// <summary>Whether a row that a rank does not want is not brought to it.</summary>
    bool LeavesOutRows { get; }

    /// <summary>Throws where the group has ended.</summary>
    void ThrowIfEnded();

    /// <summary>Ends the group, which says that a rank failed.</summary>
    void Abort(int rank, string why);
}
