using System.Text.Json;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>All plugins that were found, and what they answer for a layer.</summary>
internal sealed class BackendsReport
{
    private readonly MoeLayerShape _shape;
    private readonly MoeSelectionReport _selection;
    private readonly List<BackendEntry> _entries;
    private readonly IReadOnlyList<string> _unknown;

    private BackendsReport(MoeLayerShape shape, MoeSelectionReport selection, List<BackendEntry> entries, IReadOnlyList<string> unknown)
    {
        _unknown = unknown;
        _shape = shape;
        _selection = selection;
        _entries = entries;
    }

    public static BackendsReport Create(MoeHost host, MoeLayerShape shape)
    {
        MoeSelectionReport selection = host.Explain(new MoeLayerRequest { Shape = shape });
        PaddingProbe[] probes = [.. PaddingProbe.ForEachFormat(host, shape)];
        var entries = selection.Candidates
            .Select(candidate => new BackendEntry
            {
                Shape = shape,
                Candidate = candidate,
                Padding = probes.Select(probe => probe.Of(candidate.Path)).FirstOrDefault(padding => padding is not null),
                Steps = host.Plugins.FirstOrDefault(plugin => plugin.Path == candidate.Path)?.Steps ?? [],
            })
            .ToList();
        return new BackendsReport(shape, selection, entries, host.UnknownBackends);
    }

    public void WriteJson(Utf8JsonWriter writer)
    {
        writer.WriteShape(_shape);
        writer.WriteString("selected", _selection.Selected?.Id);
        writer.WriteString("reason", _selection.Sentence);
        writer.WriteStrings("unknown_backends", _unknown);
        writer.WriteStrings("folders", _selection.Folders);
        writer.WriteStartArray("backends");
        foreach (BackendEntry entry in _entries)
        {
            entry.WriteJson(writer);
        }

        writer.WriteEndArray();
    }

    public void WriteText(IAnsiConsole console, bool explain)
    {
        console.Say($"For a layer of [bold]{LayerShapeText.Describe(_shape)}[/]:");
        console.WriteLine();
        var saidBy = new Dictionary<string, string>();
        foreach (BackendEntry entry in _entries)
        {
            // What one driver lacks, all of its backends would say.
            string message = entry.Candidate.Message;
            string? sameAs = message.Length > 0 && !saidBy.TryAdd(message, entry.Candidate.Id) ? saidBy[message] : null;
            entry.WriteText(console, explain, sameAs);
            console.WriteLine();
        }

        console.Say($"{_selection.Sentence}");
        foreach (string sentence in _unknown.Where(sentence => sentence != _selection.Sentence))
        {
            console.Say($"[yellow]{sentence}[/]");
        }

        if (explain)
        {
            console.Say($"Looked in {string.Join(", ", _selection.Folders.Select(static folder => PlainText.Of(folder)))}.");
        }
    }
}
