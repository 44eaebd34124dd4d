using System.Text.Json;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>One plugin in `moe backends`.</summary>
/// <param name="Shape">The layer asked about.</param>
/// <param name="Candidate">The host's answer for it.</param>
/// <param name="Smallest">The host's answer for the smallest layer of the format.</param>
internal sealed record BackendEntry(MoeLayerShape Shape, MoeCandidate Candidate, MoeCandidate? Smallest)
{
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
        writer.WriteNumberOrNull("hidden_alignment", (long?)Smallest?.HiddenSize);
        writer.WriteNumberOrNull("intermediate_alignment", (long?)Smallest?.IntermediateSize);
        writer.WriteNumberOrNull("hidden_size_padded", (long?)Candidate.HiddenSize);
        writer.WriteNumberOrNull("intermediate_size_padded", (long?)Candidate.IntermediateSize);
        WriteBooleanOrNull(writer, "supports_skip_forward_padding", Candidate.SupportsSkipForwardPadding);
        WriteBooleanOrNull(writer, "has_unpadded_output", Candidate.HasUnpaddedOutput);
        writer.WriteEndObject();
    }

    public void WriteText(IAnsiConsole console, bool explain)
    {
        bool isSupported = Candidate.IsEligible;
        console.MarkupInterpolated($"[bold]{Candidate.Id}[/] {Candidate.Version}  ");
        if (isSupported)
        {
            console.MarkupLineInterpolated($"[green]runs[/] on {Candidate.Device?.ToString()} ({Candidate.DeviceName})");
        }
        else
        {
            console.MarkupLineInterpolated($"[yellow]not here[/]: {Candidate.Message}");
        }

        var grid = new LabelGrid();
        AddPadding(grid);
        if (explain)
        {
            AddSteps(grid);
        }

        grid.Add("from", Candidate.Path);
        grid.WriteTo(console);
    }

    private void AddPadding(LabelGrid grid)
    {
        if (Candidate.HiddenSize is int hidden && Candidate.IntermediateSize is int intermediate)
        {
            string sizes = $"hidden {HumanText.Padded(Shape.HiddenSize, hidden)}{Unit(Smallest?.HiddenSize)}, "
                + $"intermediate {HumanText.Padded(Shape.IntermediateSize, intermediate)}{Unit(Smallest?.IntermediateSize)}";
            grid.Add("padding", sizes);
            string input = Candidate.SupportsSkipForwardPadding == true ? "takes unpadded input" : "wants padded input";
            string output = Candidate.HasUnpaddedOutput == true ? "writes unpadded output" : "writes padded output";
            grid.Add("forward", $"{input}, {output}");
        }
    }

    private void AddSteps(LabelGrid grid)
    {
        bool isSupported = Candidate.IsEligible;
        grid.Add("state", isSupported ? $"{Candidate.State}, score {Candidate.Score}" : $"{Candidate.State}: {Candidate.Reason}");
        if (isSupported && Candidate.Message.Length > 0)
        {
            grid.Add("note", Candidate.Message);
        }
    }

    /// <summary>MXFP4 has blocks of 32 itself: rounding to that pads nothing.</summary>
    private string Unit(int? alignment) =>
        alignment is int unit && unit > (Shape.WeightFormat == MoeWeightFormat.Mxfp4 ? 32 : 1) ? $" (to multiples of {unit})" : " (as it is)";

    private static void WriteBooleanOrNull(Utf8JsonWriter writer, string name, bool? value)
    {
        if (value is bool known)
        {
            writer.WriteBoolean(name, known);
        }
        else
        {
            writer.WriteNull(name);
        }
    }

    private static string JsonName(string name) => JsonNamingPolicy.SnakeCaseLower.ConvertName(name);
}
