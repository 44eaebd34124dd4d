namespace Moe.Plugins.GptOss;

/// <summary>What holds for every chat that does not say otherwise.</summary>
public sealed class GptOssChatOptions
{
    /// <summary>How tokens are chosen.</summary>
    public GptOssSampling Sampling { get; set; } = new();

    /// <summary>Tells the model the date; null for not at all, so that the same chat is the same tokens tomorrow.</summary>
    public Func<DateOnly>? Today { get; set; } = static () => DateOnly.FromDateTime(DateTime.Now);
}
