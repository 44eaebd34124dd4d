using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.AI;
using Moe.Plugins.GptOss;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>What came of `moe generate`, and how fast.</summary>
internal sealed class GenerateReport(LoadedModel loaded, int promptTokens)
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly List<int> _generated = [];
    private readonly StringBuilder _answer = new();
    private readonly StringBuilder _thinking = new();
    private TimeSpan _first;
    private TimeSpan _last;
    private int _promptTokens = promptTokens;

    public IReadOnlyList<int> Generated => _generated;

    /// <summary>What was said; null where the tokens have no text.</summary>
    public string? Text { get; set; }

    /// <summary>Why it ended: <c>stop</c> at a stop token, <c>length</c> at a limit; null if the model did not say.</summary>
    public string? Finish { get; set; }

    private double SecondsToFirst => _first.TotalSeconds;

    /// <summary>The first token comes from reading the prompt; each further one is a step.</summary>
    private double? DecodeTokensPerSecond => _generated.Count > 1 ? (_generated.Count - 1) / (_last - _first).TotalSeconds : null;

    private double? PromptTokensPerSecond => _generated.Count > 0 ? _promptTokens / SecondsToFirst : null;

    public void Add(int token)
    {
        _last = Stopwatch.GetElapsedTime(_start);
        _first = _generated.Count == 0 ? _last : _first;
        _generated.Add(token);
    }

    public void Add(ChatResponseUpdate update)
    {
        if (update.RawRepresentation is int token)
        {
            Add(token);
        }

        foreach (AIContent content in update.Contents)
        {
            switch (content)
            {
                case TextReasoningContent thinking:
                    _thinking.Append(thinking.Text);
                    break;
                case TextContent text:
                    _answer.Append(text.Text);
                    break;
                case UsageContent usage:
                    _promptTokens = (int)(usage.Details.InputTokenCount ?? 0);
                    break;
            }
        }

        Finish = update.FinishReason?.Value ?? Finish;
        Text = _answer.ToString();
    }

    /// <summary>Writes it all as JSON, or what is not on the screen yet.</summary>
    public void Write(CommandConsole console, bool isShown) => console.Write(WriteJson, _ => WriteText(console, isShown));

    private void WriteText(CommandConsole console, bool isShown)
    {
        if (!isShown)
        {
            using var view = new AnswerView(console);
            view.Show(Text ?? string.Join(',', _generated));
        }

        IAnsiConsole error = console.Error;
        long bytes = loaded.Model.WeightByteCount;
        double seconds = loaded.LoadTime.TotalSeconds;
        error.Say($"{HumanText.Bytes(bytes)} of weights loaded in {seconds:0.00} s ({HumanText.Bytes((long)(bytes / seconds))} a second)");
        error.Say(
            $"{HumanText.Count(_promptTokens, "token")} read in {SecondsToFirst:0.00} s ({PromptTokensPerSecond:0.0} a second), {HumanText.Count(_generated.Count, "token")} written ({DecodeTokensPerSecond ?? 0:0.0} a second)");
        foreach (var layers in loaded.Model.ExpertSelections.GroupBy(selection => (selection.Selected!.Id, selection.Selected.Device)))
        {
            error.Say($"{HumanText.Count(layers.Count(), "layer")} on {layers.Key.Id}, {layers.Key.Device}");
        }
    }

    private void WriteJson(Utf8JsonWriter writer)
    {
        writer.WriteString("model", loaded.Model.Folder);
        writer.WriteStartArray("generated");
        _generated.ForEach(writer.WriteNumberValue);
        writer.WriteEndArray();
        writer.WriteString("text", Text);
        writer.WriteString("thinking", _thinking.Length == 0 ? null : _thinking.ToString());
        writer.WriteString("finish_reason", Finish);
        writer.WriteNumber("prompt_tokens", _promptTokens);
        writer.WriteNumberOrNull("prompt_tokens_per_second", PromptTokensPerSecond);
        writer.WriteNumberOrNull("decode_tokens_per_second", DecodeTokensPerSecond);
        writer.WriteNumber("time_to_first_token", SecondsToFirst);
        writer.WriteNumber("load_seconds", Math.Round(loaded.LoadTime.TotalSeconds, 3));
        writer.WriteStartArray("layers");
        foreach (MoeSelectionReport selection in loaded.Model.ExpertSelections)
        {
            writer.WriteStartObject();
            writer.WriteString("name", selection.Request.Name);
            writer.WriteString("backend", selection.Selected!.Id);
            writer.WriteString("device", selection.Selected.Device?.ToString());
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }
}
