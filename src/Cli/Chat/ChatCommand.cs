using System.CommandLine;
using System.Text.Json;
using Microsoft.Extensions.AI;
using Moe.Plugins.GptOss;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>`moe chat`: a conversation, line by line.</summary>
internal static class ChatCommand
{
    public const string Name = "chat";

    private const string Description =
        "Talk with a GPT-OSS model. Answers are shown as they come, thinking apart; Ctrl+C ends an answer, and at the prompt the program. "
        + "`/new` begins another conversation, `/quit` or the end of the input leaves.";

    public static Command Create(CommandConsole console)
    {
        var command = new Command(Name, Description);
        foreach (Option option in (IEnumerable<Option>)[.. ModelOptions.Speaking, .. ModelOptions.Loading])
        {
            command.Add(option);
        }

        command.SetComputation((result, cancellationToken) => ExecuteAsync(result, console, cancellationToken));
        return command;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        console.AsLines = true;
        await using LoadedModel loaded = LoadedModel.Open(result, console, console.BeginProgress(), cancellationToken);
        var tokenizer = GptOssTokenizer.Open(loaded.Model.Folder, loaded.Model.Config.VocabularySize);
        using var client = new GptOssChatClient(loaded.Model, tokenizer);
        using var interrupt = new Interrupt();
        ChatOptions options = ChatRequest.Options(result);
        var conversation = new List<ChatMessage>();
        while (Ask(console) is string line && line != "/quit")
        {
            if (line == "/new")
            {
                conversation.Clear();
            }
            else if (line.Length > 0)
            {
                await AnswerAsync(client, conversation, line, options, interrupt, console);
            }
        }

        return ExitCode.Ok;
    }

    private static string? Ask(CommandConsole console)
    {
        if (console.CanAsk)
        {
            console.Out.Markup("[bold]> [/]");
        }

        return Console.In.ReadLine()?.Trim();
    }

    private static async Task AnswerAsync(
        GptOssChatClient client, List<ChatMessage> conversation, string line, ChatOptions options, Interrupt interrupt, CommandConsole console)
    {
        int before = conversation.Count;
        conversation.Add(new ChatMessage(ChatRole.User, line));
        var updates = new List<ChatResponseUpdate>();
        using (CancellationTokenSource answer = interrupt.Begin())
        using (AnswerView? view = console.AsJson ? null : new AnswerView(console))
        {
            try
            {
                await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync(conversation, options, answer.Token))
                {
                    updates.Add(update);
                    view?.Show(update);
                }
            }
            catch (OperationCanceledException)
            {
                // What was said until then stays in the conversation.
            }
            catch (MoeException exception)
            {
                conversation.RemoveRange(before, conversation.Count - before);
                (int exitCode, string message) = MoeCommandLine.Explain(exception);
                console.WriteError(exitCode, message);
                return;
            }
        }

        conversation.AddMessages(updates);
        if (console.AsJson)
        {
            ChatResponse response = updates.ToChatResponse();
            console.Write(writer => WriteJson(writer, response), _ => { });
        }
    }

    private static void WriteJson(Utf8JsonWriter writer, ChatResponse response)
    {
        IEnumerable<AIContent> contents = response.Messages.SelectMany(message => message.Contents);
        string thinking = string.Concat(contents.OfType<TextReasoningContent>().Select(content => content.Text));
        writer.WriteString("text", response.Text);
        writer.WriteString("thinking", thinking.Length == 0 ? null : thinking);
        writer.WriteString("finish_reason", response.FinishReason?.Value);
    }
}
