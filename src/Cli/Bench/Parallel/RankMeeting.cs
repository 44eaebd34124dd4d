namespace Moe.Plugins.Cli;

/// <summary>How the ranks of a measurement meet: between replays, and to agree on what they found.</summary>
internal abstract class RankMeeting : IDisposable
{
    /// <summary>Waits for all ranks, so that all of them go on at about the same time.</summary>
    /// <exception cref="MoeException">The group has ended.</exception>
    public abstract void Meet();

    /// <summary>The largest of all ranks' numbers, the same on all of them.</summary>
    /// <param name="index">The rank's place among those of this process.</param>
    /// <param name="own">Its number.</param>
    /// <exception cref="MoeException">The group has ended.</exception>
    public abstract double Largest(int index, double own);

    /// <summary>Whether this process's bytes are those of all others.</summary>
    /// <exception cref="MoeException">The group has ended.</exception>
    public abstract bool AreEqual(ReadOnlySpan<byte> own);

    public abstract void Dispose();
}
