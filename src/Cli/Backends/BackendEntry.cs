using System.Text.Json;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>One plugin in `moe backends`.</summary>
internal sealed record BackendEntry
{
    /// <summary>The layer asked about.</summary>
    public required MoeLayerShape Shape { get; init; }

    /// <summary>The host's answer for it.</summary>
    public required MoeCandidate Candidate { get; init; }

    /// <summary>How it pads that layer, or the same layer in the other weight format; null where it says for neither.</summary>
    public required BackendPadding? Padding { get; init; }

    /// <summary>What was done with the plugin until it was active, or refused.</summary>
    public required IReadOnlyList<MoePluginStep> Steps { get; init; }

    public void WriteJson(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("backend", Candidate.Id);
        writer.WriteString("version", Candidate.Version);
        writer.WriteString("path", Candidate.Path);
        writer.WriteBoolean("supported", Candidate.IsEligible);
        writer.WriteString("state", JsonName(Candidate.State.ToString()));
        writer.WriteString("reason", JsonName(Candidate.Reason.ToString()));
        writer.WriteString("message", Candidate.Message);
        writer.WriteNumberOrNull("score", (long?)Candidate.Score);
        writer.WriteString("device", Candidate.Device?.ToString());
        writer.WriteString("device_name", Candidate.DeviceName);
        WritePadding(writer);
        writer.WriteStartArray("steps");
        foreach (MoePluginStep step in Steps)
        {
            writer.WriteStartObject();
            writer.WriteString("step", JsonName(step.Step.ToString()));
            writer.WriteString("outcome", JsonName(step.Outcome.ToString()));
            writer.WriteString("reason", JsonName(step.Reason.ToString()));
            writer.WriteString("message", step.Sentence);
            writer.WriteNumber("milliseconds", Math.Round(step.Duration.TotalMilliseconds, 3));
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    /// <summary>Writes it for a person.</summary>
    /// <param name="console">Where.</param>
    /// <param name="explain">Whether each step of loading is shown.</param>
    /// <param name="sameAs">The backend that gave the same message already; null where none did.</param>
    public void WriteText(IAnsiConsole console, bool explain, string? sameAs)
    {
        string name = Candidate.Version.Length == 0 ? Candidate.Id : $"{Candidate.Id} {Candidate.Version}";
        string verdict = Candidate.IsEligible
            ? $"[green]runs it[/] on {PlainConsole.Show(Candidate.Device?.ToString())} ({PlainConsole.Show(Candidate.DeviceName)}), score {Candidate.Score}"
            : "[yellow]does not run it here[/]";
        console.MarkupLine($"[bold]{PlainConsole.Show(name)}[/]  {verdict}");
        var grid = new LabelGrid();
        if (Candidate.Message.Length > 0)
        {
            grid.Add(Candidate.IsEligible ? "note" : "reason", sameAs is null ? Candidate.Message : $"the same as {sameAs}'s");
        }

        if (Padding is not null)
        {
            string other = Padding.Shape.WeightFormat == Shape.WeightFormat ? "" : $" (of {LayerShapeText.Name(Padding.Shape.WeightFormat)} weights)";
            grid.Add("padding", $"{Padding.Hidden}{other}");
            grid.Add("", Padding.Intermediate);
            grid.Add("forward", Padding.Forward);
        }

        grid.AddPath("from", Candidate.Path);
        if (explain)
        {
            AddSteps(grid);
        }

        grid.WriteTo(console);
    }

    private void AddSteps(LabelGrid grid)
    {
        foreach (MoePluginStep step in Steps)
        {
            string time = HumanText.Microseconds(step.Duration.TotalMicroseconds);
            grid.Add(JsonName(step.Step.ToString()), $"{step.Outcome} in {time}{(step.Sentence.Length == 0 ? "" : $": {step.Sentence}")}");
        }

        grid.Add("state", Candidate.Reason == MoeReason.None ? $"{Candidate.State}" : $"{Candidate.State}, {Candidate.Reason}");
    }

    private void WritePadding(Utf8JsonWriter writer)
    {
        writer.WriteString("padding_weight_format", Padding is null ? null : LayerShapeText.Name(Padding.Shape.WeightFormat));
        writer.WriteNumberOrNull("hidden_alignment", (long?)Padding?.HiddenAlignment);
        writer.WriteNumberOrNull("intermediate_alignment", (long?)Padding?.IntermediateAlignment);
        writer.WriteNumberOrNull("hidden_size_padded", (long?)Padding?.HiddenSize);
        writer.WriteNumberOrNull("intermediate_size_padded", (long?)Padding?.IntermediateSize);
        writer.WriteBooleanOrNull("supports_skip_forward_padding", Padding?.SupportsSkipForwardPadding);
        writer.WriteBooleanOrNull("has_unpadded_output", Padding?.HasUnpaddedOutput);
    }

    private static string JsonName(string name) => JsonNamingPolicy.SnakeCaseLower.ConvertName(name);
}
