namespace Moe.Plugins.Cli;

/// <summary>One figure of a peer.</summary>
/// <param name="Name">The peer.</param>
/// <param name="Tokens">Tokens of the batch.</param>
/// <param name="Microseconds">Its time.</param>
/// <param name="Ratio">That time divided by the floor of its own run, for weights in its own format.</param>
internal sealed record PeerPoint(string Name, int Tokens, double Microseconds, double Ratio);
