namespace Moe.Plugins.Cli;

/// <summary>One of the others.</summary>
/// <param name="Name">Short, as in a legend.</param>
/// <param name="Weights"><c>mxfp4</c> or <c>bf16</c>.</param>
/// <param name="Description">What it is, with its version.</param>
internal sealed record Peer(string Name, string Weights, string Description);
