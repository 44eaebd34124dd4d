using System.Text.Json;
using Moe.Plugins.Conformance;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>What a run did, for a person or for a program.</summary>
internal sealed class RunReport
{
    public required RunInput Input { get; init; }

    /// <summary>Which backend, and why this one.</summary>
    public required MoeSelectionReport Selection { get; init; }

    public required RunLayers Layers { get; init; }

    public required RunSettings Settings { get; init; }

    public required LayerRun Run { get; init; }

    /// <summary>Null where nothing was checked.</summary>
    public required RunVerification? Verification { get; init; }

    private MoeCandidate Backend => Selection.Selected!;

    /// <summary>The first rank's, whose sizes and capabilities are reported; with several ranks a part of the layer.</summary>
    private MoeLayer Layer => Layers.First;

    public void WriteJson(Utf8JsonWriter writer)
    {
        MoeLayerConfig config = Layer.Config;
        writer.WriteString("backend", Backend.Id);
        writer.WriteString("plugin", Backend.Path);
        writer.WriteString("plugin_version", Backend.Version);
        writer.WriteString("device", Backend.Device.ToString());
        writer.WriteString("device_name", Backend.DeviceName);
        writer.WriteString("reason", Selection.Sentence);
        writer.WriteString("layer", Input.Description);
        writer.WriteNumber("tokens", Input.Tokens.Rows);
        writer.WriteString("output_type", config.Options.OutputType == MoeElementType.BFloat16 ? "bf16" : "f32");
        writer.WriteShape(Input.Shape);
        writer.WriteNumber("tensor_parallel", Settings.TensorParallel);
        writer.WriteNumber("expert_parallel", Settings.ExpertParallel);
        writer.WriteNumber("hidden_size_padded", config.HiddenSize);
        writer.WriteNumber("intermediate_size_padded", config.IntermediateSize);
        writer.WriteBoolean("supports_skip_forward_padding", Layer.Method.SupportsSkipForwardPadding);
        writer.WriteBoolean("has_unpadded_output", Layer.Method.HasUnpaddedOutput);
        writer.WriteBoolean("host_pads_input", config.HostPadsInput);
        writer.WriteBoolean("host_slices_output", config.HostSlicesOutput);
        writer.WriteNumber("weight_bytes", Layers.WeightByteCount);
        writer.WriteNumberOrNull("weight_rounding_error", Layers.WeightRoundingError);
        writer.WriteNumber("load_seconds", Math.Round(Layers.LoadTime.TotalSeconds, 6));
        writer.WriteNumber("first_expert_seconds", Math.Round(Layers.StartTime.TotalSeconds, 6));
        writer.WriteNumber("microseconds", Math.Round(Run.Microseconds, 3));
        writer.WriteNumber("forwards", Run.Forwards);
        WriteVerification(writer);
        writer.WriteString("output", Settings.Output);
    }

    public void WriteText(IAnsiConsole console)
    {
        MoeLayerConfig config = Layer.Config;
        console.Say($"[bold]{Input.Description}[/]");
        var grid = new LabelGrid();
        grid.Add("layer", $"{LayerShapeText.Describe(Input.Shape)}; {HumanText.Count(Input.Tokens.Rows, "token")}");
        grid.Add("backend", Selection.Sentence);
        if (Backend.Message.Length > 0)
        {
            grid.Add("note", Backend.Message);
        }

        if (Settings.RankCount > 1)
        {
            string processes = Settings.AreProcesses ? " processes, of which this is the first's report" : "";
            grid.Add("ranks", $"{Settings.RankCount}{processes}: {Settings.TensorParallel} by tensor, {Settings.ExpertParallel} by expert");
        }

        grid.Add("padding", Padding(config));
        grid.Add(
            "weights",
            $"{HumanText.Bytes(Layers.WeightByteCount)} on the device, loaded in {HumanText.Microseconds(Layers.LoadTime.TotalMicroseconds)}, "
            + $"of which {HumanText.Microseconds(Layers.StartTime.TotalMicroseconds)} until the first expert was there");
        if (Layers.WeightRoundingError != 0)
        {
            grid.Add("rounding", $"the backend has no such weights and keeps others, by a relative error of {HumanText.Error(Layers.WeightRoundingError)}");
        }

        grid.Add("time", $"{HumanText.Microseconds(Run.Microseconds)} a forward (median of {Run.Forwards})");
        AddVerification(grid);
        if (Settings.Output is not null)
        {
            grid.AddPath("written", Settings.Output);
        }

        grid.WriteTo(console);
    }

    private static string Padding(MoeLayerConfig config)
    {
        MoeLayerShape shape = config.Shape;
        if (config.HiddenSize == shape.HiddenSize && config.IntermediateSize == shape.IntermediateSize)
        {
            return "none";
        }

        string sizes = $"hidden {HumanText.Padded(shape.HiddenSize, config.HiddenSize)}, "
            + $"intermediate {HumanText.Padded(shape.IntermediateSize, config.IntermediateSize)}";
        string input = config.HostPadsInput ? "the host pads the input" : "the input is not padded";
        string output = config.HostSlicesOutput ? "the host slices the output" : "the output is not sliced";
        return $"{sizes}; {input}, {output}";
    }

    private void AddVerification(LabelGrid grid)
    {
        if (Verification is not RunVerification check)
        {
            grid.Add("check", "none; --verify compares the result with float64");
            return;
        }

        OutputCheck float64 = check.Float64;
        string sample = float64.TokenCount == Input.Tokens.Rows ? "" : $" on {float64.TokenCount} of {Input.Tokens.Rows} tokens";
        AddError(grid, $"against float64{sample}", float64.Difference, float64.Limit);
        if (check.ExpectedDifference is TensorDifference expected)
        {
            AddError(grid, "against the file's expected.output", expected, float64.Limit);
        }

        if (check.UnwrittenValues > 0)
        {
            grid.AddMarkup("error", $"[red]WRONG[/]: the backend never wrote {HumanText.Count(check.UnwrittenValues, "value")} of its output");
        }

        if (float64.Routing.TokenCount > 0)
        {
            string verdict = float64.Routing.IsTie ? "by ties of the router's logits, which is right" : "[red]which is wrong[/]";
            grid.AddMarkup("routing", $"{HumanText.Count(float64.Routing.TokenCount, "token")} to other experts than float64 chooses, {verdict}");
        }
    }

    private static void AddError(LabelGrid grid, string against, TensorDifference difference, double limit)
    {
        string same = difference.NotFiniteCount == 0 ? "" : $"; {HumanText.Count(difference.NotFiniteCount, "value")} NaN or infinite in both";
        if (difference.ComparedCount == 0)
        {
            grid.AddMarkup("error", $"[red]NOT COMPARED[/] {against}: no number is left to compare{same}");
            return;
        }

        bool isRight = difference.RelativeError <= limit;
        string verdict = isRight ? "[green]right[/]" : "[red]WRONG[/]";
        string sign = isRight ? "within" : "beyond";
        grid.AddMarkup("error", $"{verdict}: {HumanText.Error(difference.RelativeError)} {against}, {sign} the backend's {HumanText.Error(limit)}{same}");
    }

    private void WriteVerification(Utf8JsonWriter writer)
    {
        RunVerification? check = Verification;
        writer.WriteNumberOrNull("relative_error", check?.Float64.Difference.RelativeError);
        writer.WriteNumberOrNull("max_abs_error", check?.Float64.Difference.MaxAbsError);
        writer.WriteNumberOrNull("expected_relative_error", check?.ExpectedDifference?.RelativeError);
        writer.WriteNumber("relative_error_limit", Layer.Method.Numerics.RelativeError);
        writer.WriteNumberOrNull("verified_tokens", (long?)check?.Float64.TokenCount);
        writer.WriteNumberOrNull("compared_values", check?.Float64.Difference.ComparedCount);
        writer.WriteNumberOrNull("not_finite_values", check?.Float64.Difference.NotFiniteCount);
        writer.WriteNumberOrNull("unwritten_values", check?.UnwrittenValues);
        writer.WriteNumberOrNull("routing_differences", (long?)check?.Float64.Routing.TokenCount);
        writer.WriteBooleanOrNull("passed", check?.Passed);
    }
}
