using System.CommandLine;
using Microsoft.Extensions.AI;
using Moe.Plugins.GptOss;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>`moe generate`: one answer, or one text continued, and how fast it came.</summary>
internal static class GenerateCommand
{
    private const string Description =
        "Answer a question, or continue tokens, with a GPT-OSS model: its expert layers run on whichever backend the host chooses, layer by layer. "
        + "Standard output has the answer alone; thinking and figures go to standard error.";

    private const string DefaultPrompt = "What is a mixture of experts?";

    private static readonly Option<string?> Prompt = CommandOptions.Text("--prompt", "TEXT", "The question.", "a question");

    /// <summary>Tokens instead of a question.</summary>
    public static Option<string?> PromptIds { get; } = CommandOptions.Text(
        "--prompt-ids", "IDS", "Token ids to continue as they are, without a tokenizer: 1,2,3.", "ids of tokens");

    private static readonly Option<bool> IgnoreStop = new("--ignore-stop") { Description = "Go on after stop tokens, until --max-tokens." };

    public static Command Create(CommandConsole console)
    {
        var command = new Command("generate", Description) { Prompt, PromptIds, IgnoreStop };
        foreach (Option option in (IEnumerable<Option>)[.. ModelOptions.Speaking, .. ModelOptions.Loading])
        {
            command.Add(option);
        }

        command.Validators.Add(result =>
        {
            if (result.GetValue(Prompt) is not null && result.GetValue(PromptIds) is not null)
            {
                result.AddError("--prompt and --prompt-ids are both given; only one of them is expected.");
            }
        });
        command.SetComputation((result, cancellationToken) => ExecuteAsync(result, console, cancellationToken));
        return command;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        int[]? ids = result.GetValue(PromptIds) is string text ? LoadedModel.ParseIds(text) : null;
        await using LoadedModel loaded = LoadedModel.Open(result, console, console.BeginProgress(), cancellationToken);
        try
        {
            GenerateReport report = ids is null
                ? await AnswerAsync(result, loaded, console.AsJson ? null : console, cancellationToken)
                : Continue(result, loaded, ids, cancellationToken);
            report.Write(console, isShown: ids is null);
            return ExitCode.Ok;
        }
        catch (ArgumentException exception)
        {
            throw new CommandException(ExitCode.BadInput, exception.Message, exception);
        }
    }

    private static GenerateReport Continue(ParseResult result, LoadedModel loaded, int[] ids, CancellationToken cancellationToken)
    {
        GptOssModel model = loaded.Model;
        GptOssTokenizer? tokenizer = TryOpenTokenizer(model);
        using GptOssSequence sequence = model.CreateSequence();
        var report = new GenerateReport(loaded, ids.Length);
        var generation = new GptOssGeneration
        {
            MaxTokens = result.GetValue(ModelOptions.MaxTokens) ?? int.MaxValue,
            Stops = result.GetValue(IgnoreStop) ? [] : [.. tokenizer?.Harmony.Stops ?? []],
            Sampling = new GptOssSampling
            {
                Temperature = result.GetValue(ModelOptions.Temperature) ?? 0,
                TopP = result.GetValue(ModelOptions.TopP) ?? 1,
                MinP = result.GetValue(ModelOptions.MinP) ?? 0,
                Seed = result.GetValue(ModelOptions.Seed),
            },
        };
        foreach (int token in GptOssGenerator.Generate(model, sequence, ids, generation, cancellationToken))
        {
            report.Add(token);
        }

        report.Text = tokenizer?.Decode(report.Generated);
        report.Finish = report.Generated.Count > 0 && generation.Stops.Contains(report.Generated[^1]) ? "stop" : "length";
        return report;
    }

    private static async Task<GenerateReport> AnswerAsync(ParseResult result, LoadedModel loaded, CommandConsole? console, CancellationToken cancellationToken)
    {
        var tokenizer = GptOssTokenizer.Open(loaded.Model.Folder, loaded.Model.Config.VocabularySize);
        using var client = new GptOssChatClient(loaded.Model, tokenizer);
        ChatOptions options = ChatRequest.Options(result, result.GetValue(IgnoreStop));
        var question = new ChatMessage(ChatRole.User, result.GetValue(Prompt) ?? DefaultPrompt);
        var report = new GenerateReport(loaded, promptTokens: 0);
        using var view = console is null ? null : new AnswerView(console);
        await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync([question], options, cancellationToken))
        {
            report.Add(update);
            view?.Show(update);
        }

        return report;
    }

    /// <summary>Without a tokenizer there are ids, and nothing to stop at but the most tokens.</summary>
    private static GptOssTokenizer? TryOpenTokenizer(GptOssModel model)
    {
        try
        {
            return GptOssTokenizer.Open(model.Folder, model.Config.VocabularySize);
        }
        catch (MoeException exception) when (!File.Exists(Path.Combine(model.Folder, "tokenizer.json")))
        {
            _ = exception;
            return null;
        }
    }
}
