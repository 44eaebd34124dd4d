using System.Globalization;
using System.Text.Json;
using Moe.Plugins.Checkpoints;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>A checkpoint's layers, those alike together, with what each backend makes of them.</summary>
internal sealed class InspectReport
{
    private readonly Checkpoint _checkpoint;
    private readonly List<LayerGroup> _groups;

    private InspectReport(Checkpoint checkpoint, List<LayerGroup> groups)
    {
        _checkpoint = checkpoint;
        _groups = groups;
    }

    public static InspectReport Create(MoeHost host, Checkpoint checkpoint)
    {
        var groups = checkpoint.MoeLayers
            .GroupBy(layer => (layer.Shape, layer.ByteCount))
            .Select(layers => new LayerGroup([.. layers], PaddingCost.ForEachBackend(host, layers.Key.Shape)))
            .ToList();
        return new InspectReport(checkpoint, groups);
    }

    public void WriteJson(Utf8JsonWriter writer)
    {
        writer.WriteString("path", _checkpoint.Path);
        writer.WriteNumber("files", _checkpoint.Files.Count);
        writer.WriteStartArray("layers");
        foreach (LayerGroup group in _groups)
        {
            foreach (CheckpointLayer layer in group.Layers)
            {
                writer.WriteStartObject();
                writer.WriteNumber("layer", layer.Index);
                writer.WriteString("name", layer.Name);
                writer.WriteShape(layer.Shape);
                writer.WriteBoolean("has_router_bias", layer.Shape.Router.HasLogitBias);
                writer.WriteBoolean("has_expert_bias", layer.Shape.HasExpertBias);
                writer.WriteNumber("bytes", layer.ByteCount);
                writer.WriteStartArray("backends");
                foreach (PaddingCost cost in group.Costs)
                {
                    cost.WriteJson(writer);
                }

                writer.WriteEndArray();
                writer.WriteEndObject();
            }
        }

        writer.WriteEndArray();
    }

    public void WriteText(IAnsiConsole console)
    {
        int layers = _checkpoint.MoeLayers.Count;
        long bytes = _checkpoint.MoeLayers.Sum(layer => layer.ByteCount);
        console.MarkupLineInterpolated(
            $"[bold]{_checkpoint.Path}[/]: {HumanText.Count(_checkpoint.Files.Count, "file")}, {HumanText.Count(layers, "mixture-of-experts layer")}, {HumanText.Bytes(bytes)}");
        foreach (LayerGroup group in _groups)
        {
            CheckpointLayer first = group.Layers[0];
            console.WriteLine();
            console.MarkupLineInterpolated($"{Numbers(group.Layers)} [grey]{first.Name}[/]");
            console.WriteLine($"  {LayerShapeText.Describe(first.Shape)}, {Biases(first.Shape)}; {HumanText.Bytes(first.ByteCount)} a layer");
            console.Write(Costs(group));
        }
    }

    private static Table Costs(LayerGroup group)
    {
        Table table = new Table().Border(TableBorder.None).AddColumns("  backend", "hidden", "intermediate", "bytes at those sizes", "more than the model's");
        foreach (PaddingCost cost in group.Costs)
        {
            string[] cells = cost.Refusal is string refusal
                ? [$"  {cost.Backend}", "–", "–", "–", refusal]
                : [
                    $"  {cost.Backend}",
                    HumanText.Padded(cost.Shape.HiddenSize, cost.HiddenSize),
                    HumanText.Padded(cost.Shape.IntermediateSize, cost.IntermediateSize),
                    HumanText.Bytes(cost.PaddedBytes),
                    cost.Overhead == 0 ? "nothing" : $"+{HumanText.Bytes(cost.PaddedBytes - cost.ModelBytes)}, {HumanText.Percent(cost.Overhead)}",
                ];
            table.AddRow([.. cells.Select(cell => new Text(cell))]);
        }

        return table;
    }

    private static string Numbers(IReadOnlyList<CheckpointLayer> layers)
    {
        int first = layers[0].Index;
        int last = layers[^1].Index;
        bool isRun = layers.Select(layer => layer.Index).SequenceEqual(Enumerable.Range(first, layers.Count));
        string numbers = isRun && layers.Count > 1
            ? string.Create(CultureInfo.InvariantCulture, $"{first} to {last}")
            : string.Join(", ", layers.Select(layer => layer.Index));
        return layers.Count == 1 ? $"layer {numbers}" : $"layers {numbers}";
    }

    private static string Biases(MoeLayerShape shape) => (shape.Router.HasLogitBias, shape.HasExpertBias) switch
    {
        (true, true) => "with biases",
        (true, false) => "router bias only",
        (false, true) => "expert biases only",
        _ => "no biases",
    };

    private sealed record LayerGroup(IReadOnlyList<CheckpointLayer> Layers, IReadOnlyList<PaddingCost> Costs);
}
