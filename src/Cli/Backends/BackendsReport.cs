using System.Text.Json;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>All plugins that were found, and what they answer for a layer.</summary>
internal sealed class BackendsReport
{
    private readonly MoeLayerShape _shape;
    private readonly MoeSelectionReport _selection;
    private readonly bool _explain;
    private readonly List<BackendEntry> _entries;

    private BackendsReport(MoeLayerShape shape, MoeSelectionReport selection, List<BackendEntry> entries, bool explain)
    {
        _shape = shape;
        _selection = selection;
        _entries = entries;
        _explain = explain;
    }

    public static BackendsReport Create(MoeHost host, MoeLayerShape shape, bool explain)
    {
        MoeSelectionReport selection = Explain(host, shape);
        MoeSelectionReport smallest = Explain(host, SmallestShape(shape));
        var entries = selection.Candidates
            .Select(candidate => new BackendEntry(shape, candidate, smallest.Candidates.FirstOrDefault(other => other.Path == candidate.Path)))
            .ToList();
        return new BackendsReport(shape, selection, entries, explain);
    }

    public void WriteJson(Utf8JsonWriter writer)
    {
        writer.WriteShape(_shape);
        writer.WriteString("selected", _selection.Selected?.Id);
        writer.WriteString("reason", _selection.Sentence);
        writer.WriteStartArray("backends");
        foreach (BackendEntry entry in _entries)
        {
            entry.WriteJson(writer);
        }

        writer.WriteEndArray();
    }

    public void WriteText(IAnsiConsole console)
    {
        console.MarkupLineInterpolated($"For a layer of [bold]{LayerShapeText.Describe(_shape)}[/]:");
        foreach (BackendEntry entry in _entries)
        {
            console.WriteLine();
            entry.WriteText(console, _explain);
        }

        console.WriteLine();
        console.WriteLine(_selection.Sentence);
    }

    private static MoeSelectionReport Explain(MoeHost host, MoeLayerShape shape) =>
        host.Explain(new MoeLayerRequest { Name = "backends", Shape = shape });

    /// <summary>What a method rounds the smallest sizes of the format to is the unit that it pads to.</summary>
    private static MoeLayerShape SmallestShape(MoeLayerShape shape)
    {
        int smallest = shape.WeightFormat == MoeWeightFormat.Mxfp4 ? 32 : 1;
        return shape with { HiddenSize = smallest, IntermediateSize = smallest };
    }
}
