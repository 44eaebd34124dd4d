namespace Moe.Plugins.GptOss;

/// <summary>One message of a conversation (openai/harmony, <c>docs/format.md</c>).</summary>
internal sealed record HarmonyMessage
{
    /// <summary>Who speaks: <c>system</c>, <c>developer</c>, <c>user</c>, <c>assistant</c>, or a tool by its name, <c>functions.weather</c>.</summary>
    public required string Author { get; init; }

    /// <summary>Whom it is for; null for everybody.</summary>
    public string? Recipient { get; init; }

    /// <summary><c>analysis</c>, <c>commentary</c> or <c>final</c> of an assistant; null where there is none.</summary>
    public string? Channel { get; init; }

    /// <summary>The kind of content, <c>json</c>, that a call's arguments are constrained to; null where nothing is said.</summary>
    public string? ContentType { get; init; }

    /// <summary>What is said.</summary>
    public required string Content { get; init; }

    /// <summary>Whether an assistant calls a tool with it.</summary>
    public bool IsCall => Author == HarmonyRole.Assistant && Recipient is not null;
}
