namespace Moe.Plugins.GptOss;

/// <summary>How the next token is chosen.</summary>
public sealed record GptOssSampling
{
    /// <summary>The likeliest token each time.</summary>
    public static GptOssSampling Greedy { get; } = new() { Temperature = 0 };

    /// <summary>Logits are divided by it; 0 for the likeliest token each time. The models were tuned for 1.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Of the likeliest tokens so many are in the draw that their probabilities reach it.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Tokens are in the draw whose probability is at least this share of the likeliest one's.</summary>
    public double MinP { get; init; }

    /// <summary>The same seed draws the same tokens from the same logits; null for another one each time.</summary>
    public long? Seed { get; init; }

    /// <exception cref="MoeException">A value is out of range.</exception>
    internal void Validate()
    {
        Require(Temperature >= 0 && double.IsFinite(Temperature), $"{nameof(Temperature)} is {Temperature}; 0 or more is expected");
        Require(TopP is > 0 and <= 1, $"{nameof(TopP)} is {TopP}; more than 0 and at most 1 is expected");
        Require(MinP is >= 0 and < 1, $"{nameof(MinP)} is {MinP}; 0 or more and less than 1 is expected");
    }

    private static void Require(bool condition, FormattableString message)
    {
        if (!condition)
        {
            throw new MoeException(MoeReason.Configuration, FormattableString.Invariant(message) + ".");
        }
    }
}
