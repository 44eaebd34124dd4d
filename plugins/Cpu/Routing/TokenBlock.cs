namespace Moe.Plugins.Cpu;

/// <summary>Neighbouring (token, choice) pairs of one expert that a kernel takes at once.</summary>
/// <param name="Expert">The expert.</param>
/// <param name="Start">Place of the first pair among all pairs in expert order.</param>
/// <param name="Count">Pairs.</param>
internal readonly record struct TokenBlock(int Expert, int Start, int Count);
