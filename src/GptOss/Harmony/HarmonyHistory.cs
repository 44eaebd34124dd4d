namespace Moe.Plugins.GptOss;

/// <summary>What of earlier thinking the model is shown again.</summary>
internal static class HarmonyHistory
{
    /// <summary>
    /// Leaves out thinking from before the last answer. What followed it stays: between a call and the answer, the model needs its own
    /// thoughts (openai/harmony, <c>docs/format.md</c>, "Handling reasoning output in subsequent sampling").
    /// </summary>
    public static IEnumerable<HarmonyMessage> WithoutOldAnalysis(IReadOnlyList<HarmonyMessage> messages)
    {
        int lastAnswer = -1;
        for (int i = 0; i < messages.Count; i++)
        {
            lastAnswer = messages[i] is { Author: HarmonyRole.Assistant, Channel: HarmonyChannel.Final } ? i : lastAnswer;
        }

        return messages.Where((message, i) => i > lastAnswer || message is not { Author: HarmonyRole.Assistant, Channel: HarmonyChannel.Analysis, Recipient: null });
    }
}
