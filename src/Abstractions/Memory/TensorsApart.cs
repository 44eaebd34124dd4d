namespace Moe.Plugins;

/// <summary>What a call writes may be what it reads, but no part of it: the rule of a group's calls, and, compiled into the host too, of a layer's.</summary>
internal static class TensorsApart
{
    /// <summary>Refuses a written tensor that overlaps another one in part.</summary>
    /// <param name="written">What is written.</param>
    /// <param name="name">Its name.</param>
    /// <param name="other">What is read, or written too.</param>
    /// <param name="otherName">Its name.</param>
    /// <exception cref="ArgumentException">They overlap in part.</exception>
    public static void Require(in MoeTensorView written, string name, in MoeTensorView other, string otherName)
    {
        if (written.OverlapsInPart(other))
        {
            throw new ArgumentException($"{name} overlaps {otherName} in part: what is written to the one would be read from the other.");
        }
    }
}
