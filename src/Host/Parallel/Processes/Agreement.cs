namespace Moe.Plugins;

/// <summary>What the ranks of a group must have in common: found out before they begin, and whoever differs is named.</summary>
internal static class Agreement
{
    /// <summary>Compares this process's properties with those of all others.</summary>
    /// <param name="rendezvous">Where they meet.</param>
    /// <param name="what">What the properties are of.</param>
    /// <param name="own">Each with its value, the same names on all ranks.</param>
    /// <param name="timeout">How long ranks wait for each other.</param>
    /// <exception cref="MoeException">A rank differs; it ends the rendezvous.</exception>
    public static void Require(IMoeRendezvous rendezvous, string what, IReadOnlyList<(string Name, string Value)> own, TimeSpan timeout)
    {
        byte[] bytes = FrameText.Join([.. own.Select(property => (ReadOnlyMemory<byte>)FrameText.Of(property.Value))]);
        IReadOnlyList<ReadOnlyMemory<byte>> all = rendezvous.Exchange(what, bytes, timeout);
        ReadOnlyMemory<byte>[] first = FrameText.Split(all[0], own.Count);
        for (int rank = 1; rank < all.Count; rank++)
        {
            ReadOnlyMemory<byte>[] other = FrameText.Split(all[rank], own.Count);
            for (int i = 0; i < own.Count; i++)
            {
                if (!other[i].Span.SequenceEqual(first[i].Span))
                {
                    (string theirs, string rank0s) = Difference(FrameText.ToText(other[i]), FrameText.ToText(first[i]));
                    string message = $"Rank {rank} differs from rank 0 in {own[i].Name}: {theirs} against {rank0s}. The same is expected on all ranks.";
                    rendezvous.Abort(MoeReason.Configuration, message);
                    throw new MoeException(MoeReason.Configuration, message);
                }
            }
        }
    }

    // Of two records, which list their members: from the first member on that differs, to the next.
    private static (string One, string Other) Difference(string one, string other)
    {
        int same = one.AsSpan().CommonPrefixLength(other);
        int start = one[..same].LastIndexOfAny([',', '{']);
        return start < 0 ? (one, other) : (Member(one), Member(other));

        string Member(string text)
        {
            int end = text.IndexOfAny([',', '}'], same);
            return text[(start + 1)..(end < 0 ? text.Length : end)].Trim();
        }
    }
}
