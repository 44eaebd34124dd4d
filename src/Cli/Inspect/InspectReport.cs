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

    public static InspectReport Create(MoeHost host, Checkpoint checkpoint, ProgressLine progress, CancellationToken cancellationToken)
    {
        var layers = checkpoint.MoeLayers.GroupBy(layer => (layer.Shape, layer.ByteCount, layer.CallerRoutes)).ToList();
        progress.Plan(layers.Count * host.Plugins.Count);
        var groups = new List<LayerGroup>();
        foreach (IReadOnlyList<CheckpointLayer> same in layers.Select(group => group.ToList()))
        {
            groups.Add(new LayerGroup(same, PaddingCost.ForEachBackend(host, same[0], progress, cancellationToken)));
        }

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
                LayerText.Write(writer, layer);
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
        console.Say(
            $"[bold]{_checkpoint.Path}[/]: {HumanText.Count(_checkpoint.Files.Count, "file")}, {HumanText.Count(layers, "mixture-of-experts layer")}, {HumanText.Bytes(bytes)}");
        if (_groups.Count > 0)
        {
            console.Say($"padded: bytes at the padded sizes, in the checkpoint's format; stored: bytes that the backend really keeps, measured by loading a layer (– where it cannot run here)");
        }

        foreach (LayerGroup group in _groups)
        {
            CheckpointLayer first = group.Layers[0];
            console.WriteLine();
            console.Say($"{Numbers(group.Layers)} [grey]{first.Name}[/]");
            foreach (string line in LayerText.Describe(first))
            {
                console.Say($"  {line}");
            }

            console.Say($"  {LayerShapeText.Describe(first.Shape)}, {Biases(first.Shape)}; {HumanText.Bytes(first.ByteCount)} a layer");
            WriteCosts(console, group);
        }
    }

    private static void WriteCosts(IAnsiConsole console, LayerGroup group)
    {
        FittedTable table = new FittedTable()
            .Always("backend", isNumber: false).Always("hidden").Always("intermediate").Optional("padded").Always("stored").Always("÷ model's");
        foreach (PaddingCost cost in group.Costs.Where(cost => cost.Refusal is null))
        {
            table.AddRow(
                PlainConsole.Show(cost.Backend),
                HumanText.Padded(cost.Shape.HiddenSize, cost.HiddenSize),
                HumanText.Padded(cost.Shape.IntermediateSize, cost.IntermediateSize),
                HumanText.Bytes(cost.PaddedBytes),
                cost.StoredBytes is long stored ? HumanText.Bytes(stored) : "–",
                cost.StoredBytes is long bytes ? string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / cost.ModelBytes:0.00}") : "–");
        }

        table.WriteTo(console);
        foreach (PaddingCost cost in group.Costs.Where(cost => cost.Remark is not null))
        {
            console.Say($"  {cost.Backend}: {cost.Remark}");
        }

        foreach (var same in group.Costs.Where(cost => (cost.Refusal ?? cost.LoadError) is not null).GroupBy(cost => cost.Refusal ?? cost.LoadError))
        {
            console.Say($"  {string.Join(", ", same.Select(cost => cost.Backend))}: {same.Key}");
        }
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
