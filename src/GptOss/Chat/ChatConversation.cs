using System.Text.Json;
using Microsoft.Extensions.AI;

namespace Moe.Plugins.GptOss;

/// <summary>A conversation of Microsoft.Extensions.AI as harmony's messages.</summary>
internal static class ChatConversation
{
    /// <summary>The property of a message that says which channel its text was written to, where that is not the final one.</summary>
    public const string ChannelProperty = "channel";

    private const string Functions = "functions.";

    /// <summary>Without line breaks, as the model was taught to read and write JSON.</summary>
    private static readonly JsonSerializerOptions Compact = new(AIJsonUtilities.DefaultOptions) { WriteIndented = false };

    /// <exception cref="NotSupportedException">A message has something else than text, thinking, calls and results.</exception>
    /// <exception cref="ArgumentException">A result belongs to no call.</exception>
    public static List<HarmonyMessage> Read(IEnumerable<ChatMessage> messages, ChatOptions? options, DateOnly? today)
    {
        var instructions = new List<string?> { options?.Instructions };
        var spoken = new List<HarmonyMessage>();
        var names = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (ChatMessage message in messages)
        {
            if (message.Role == ChatRole.System || message.Role.Value == HarmonyRole.Developer)
            {
                instructions.Add(message.Text);
                continue;
            }

            spoken.AddRange(message.Contents.Where(content => content is not UsageContent).SelectMany(content => Read(message, content, names)));
        }

        HarmonyFunction[] functions = FunctionsOf(options);
        HarmonyMessage? developer = HarmonyPrompt.Developer(
            string.Join("\n\n", instructions.Where(text => !string.IsNullOrEmpty(text))), functions, FormatOf(options));
        return
        [
            HarmonyPrompt.System(today, EffortOf(options), functions.Length > 0),
            .. developer is null ? [] : (HarmonyMessage[])[developer],
            .. HarmonyHistory.WithoutOldAnalysis(spoken),
        ];
    }

    /// <summary>What the answer must begin with: a call of any function, or of one.</summary>
    public static string? RequiredRecipient(ChatOptions? options) => options?.ToolMode is RequiredChatToolMode required && FunctionsOf(options).Length > 0
        ? Functions + required.RequiredFunctionName
        : null;

    /// <summary>A call, as the application sees it.</summary>
    public static FunctionCallContent ToCall(HarmonyMessage call, string id)
    {
        string name = call.Recipient!.StartsWith(Functions, StringComparison.Ordinal) ? call.Recipient[Functions.Length..] : call.Recipient;
        return FunctionCallContent.CreateFromParsedArguments(
            call.Content,
            id,
            name,
            static json => string.IsNullOrWhiteSpace(json) ? null : JsonSerializer.Deserialize<Dictionary<string, object?>>(json, Compact));
    }

    private static IEnumerable<HarmonyMessage> Read(ChatMessage message, AIContent content, Dictionary<string, string> names)
    {
        bool isAssistant = message.Role == ChatRole.Assistant;
        switch (content)
        {
            case TextContent text when isAssistant:
                bool isCommentary = message.AdditionalProperties?.TryGetValue(ChannelProperty, out string? channel) == true && channel == HarmonyChannel.Commentary;
                yield return Assistant(isCommentary ? HarmonyChannel.Commentary : HarmonyChannel.Final, text.Text);
                break;
            case TextReasoningContent thinking when isAssistant:
                yield return Assistant(HarmonyChannel.Analysis, string.IsNullOrEmpty(thinking.Text) ? thinking.ProtectedData ?? "" : thinking.Text);
                break;
            case FunctionCallContent call when isAssistant:
                names[call.CallId] = call.Name;
                string arguments = JsonSerializer.Serialize(call.Arguments ?? new Dictionary<string, object?>(), Compact);
                yield return Assistant(HarmonyChannel.Commentary, arguments) with { Recipient = Functions + call.Name, ContentType = "json" };
                break;
            case FunctionResultContent result:
                yield return new HarmonyMessage
                {
                    Author = Functions + NameOf(result, names),
                    Recipient = HarmonyRole.Assistant,
                    Channel = HarmonyChannel.Commentary,
                    Content = result.Result as string ?? JsonSerializer.Serialize(result.Result, Compact),
                };
                break;
            case TextContent text:
                yield return new HarmonyMessage { Author = HarmonyRole.User, Content = text.Text };
                break;
            default:
                throw new NotSupportedException($"A message of {message.Role} has a {content.GetType().Name}; GPT-OSS reads text, thinking, calls and results.");
        }
    }

    private static HarmonyMessage Assistant(string channel, string content) => new() { Author = HarmonyRole.Assistant, Channel = channel, Content = content };

    private static string NameOf(FunctionResultContent result, Dictionary<string, string> names) => names.TryGetValue(result.CallId, out string? name)
        ? name
        : throw new ArgumentException($"The result of call '{result.CallId}' follows no such call.");

    private static HarmonyFunction[] FunctionsOf(ChatOptions? options) => options?.ToolMode is NoneChatToolMode
        ? []
        : [.. (options?.Tools ?? []).OfType<AIFunctionDeclaration>().Select(tool => new HarmonyFunction(tool.Name, tool.Description, tool.JsonSchema))];

    private static HarmonyFormat? FormatOf(ChatOptions? options) => options?.ResponseFormat is ChatResponseFormatJson { Schema: JsonElement schema } json
        ? new HarmonyFormat(json.SchemaName ?? "answer", json.SchemaDescription, schema)
        : null;

    private static string EffortOf(ChatOptions? options) => options?.Reasoning?.Effort switch
    {
        ReasoningEffort.None or ReasoningEffort.Low => "low",
        ReasoningEffort.High or ReasoningEffort.ExtraHigh => "high",
        _ => "medium",
    };
}
