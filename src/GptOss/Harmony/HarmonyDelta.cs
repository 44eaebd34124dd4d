namespace Moe.Plugins.GptOss;

/// <summary>What a token adds.</summary>
/// <param name="Text">To the content of the message; may be null or empty.</param>
/// <param name="Ended">The whole message, if it ended with the token.</param>
internal readonly record struct HarmonyDelta(string? Text, HarmonyMessage? Ended);
