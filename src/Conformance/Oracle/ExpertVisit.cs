namespace Moe.Plugins.Conformance;

/// <summary>One token at one expert.</summary>
/// <param name="Token">The token's place among those that are computed.</param>
/// <param name="Weight">The router's weight.</param>
internal readonly record struct ExpertVisit(int Token, double Weight);
