namespace Moe.Plugins.Conformance;

/// <summary>One way in which a backend breaks a rule.</summary>
/// <param name="Where">The layer, tokens and seed, for people.</param>
/// <param name="Expected">What the rule asks for.</param>
/// <param name="Got">What was found.</param>
public sealed record ConformanceFailure(string Where, string Expected, string Got)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Where}: expected {Expected}; got {Got}";
}
