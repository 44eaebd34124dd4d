namespace Moe.Plugins.GptOss;

/// <summary>
/// Reads a header: the author, which the prompt may have written already, <c>to=</c> a recipient before or after the channel, the kind of content
/// at the end, with or without <c>&lt;|constrain|&gt;</c> and a space before it.
/// </summary>
internal static class HarmonyHeader
{
    private const string Channel = "<|channel|>";
    private const string Constrain = "<|constrain|>";
    private const string To = "to=";

    public static HarmonyMessage Parse(string header)
    {
        string[] words = header
            .Replace(Channel, $" {Channel}", StringComparison.Ordinal)
            .Replace(Constrain, $" {Constrain}", StringComparison.Ordinal)
            .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        var message = new HarmonyMessage { Author = HarmonyRole.Assistant, Content = "" };
        bool hasChannel = false;
        foreach (string word in words)
        {
            if (word.StartsWith(Channel, StringComparison.Ordinal))
            {
                hasChannel = true;
                message = message with { Channel = word[Channel.Length..] };
            }
            else if (word.StartsWith(To, StringComparison.Ordinal))
            {
                message = message with { Recipient = word[To.Length..] };
            }
            else if (word.StartsWith(Constrain, StringComparison.Ordinal))
            {
                message = message with { ContentType = word[Constrain.Length..] };
            }
            else if (hasChannel)
            {
                message = message with { ContentType = word };
            }
            else
            {
                message = message with { Author = word };
            }
        }

        return message;
    }
}
