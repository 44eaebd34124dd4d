using System.Text.Json;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Cli;

/// <summary>What one backend makes of a layer: the sizes that it pads to, and the bytes that its weights really take.</summary>
internal sealed record PaddingCost
{
    public required string Backend { get; init; }

    public required MoeLayerShape Shape { get; init; }

    /// <summary>Why the backend has no sizes for such a layer; null where it has.</summary>
    public string? Refusal { get; private init; }

    public int HiddenSize { get; private init; }

    public int IntermediateSize { get; private init; }

    /// <summary>Bytes of the weights as the backend keeps them, measured by loading them; null where it cannot run here, or could not load them.</summary>
    public long? StoredBytes { get; private init; }

    /// <summary>What else there is to know of how the backend keeps the weights; null for nothing.</summary>
    public string? Remark { get; private init; }

    /// <summary>Why the weights could not be loaded; null where they were, or where the backend cannot run here.</summary>
    public string? LoadError { get; private init; }

    public long ModelBytes => LayerBytes.Count(Shape, Shape.HiddenSize, Shape.IntermediateSize);

    /// <summary>Bytes at the padded sizes, in the checkpoint's own format.</summary>
    public long PaddedBytes => LayerBytes.Count(Shape, HiddenSize, IntermediateSize);

    public double Overhead => ((double)PaddedBytes / ModelBytes) - 1;

    /// <summary>Asks every backend for its sizes, and loads the layer on those that can run it here.</summary>
    public static IReadOnlyList<PaddingCost> ForEachBackend(MoeHost host, CheckpointLayer layer, ProgressLine progress, CancellationToken cancellationToken)
    {
        var request = new MoeLayerRequest { Shape = layer.Shape };
        var costs = new List<PaddingCost>();
        foreach (MoeCandidate candidate in host.Explain(request).Candidates)
        {
            var cost = new PaddingCost
            {
                Backend = candidate.Id,
                Shape = layer.Shape,
                Refusal = candidate.HiddenSize is null ? candidate.Message : null,
                HiddenSize = candidate.HiddenSize ?? 0,
                IntermediateSize = candidate.IntermediateSize ?? 0,
            };
            progress.Begin($"{layer.Name} on {candidate.Id}");
            costs.Add(candidate.IsEligible ? cost.Load(host, request with { Backend = candidate.Id }, layer, progress, cancellationToken) : cost);
            progress.Step();
        }

        return costs;
    }

    private PaddingCost Load(MoeHost host, MoeLayerRequest request, CheckpointLayer layer, ProgressLine progress, CancellationToken cancellationToken)
    {
        try
        {
            using MoeLayer loaded = host.CreateLayer(request, layer.Source, progress, cancellationToken);
            return this with { StoredBytes = loaded.WeightByteCount, Remark = loaded.WeightRemark };
        }
        catch (MoeSelectionException exception)
        {
            return this with { LoadError = exception.Report.Sentence };
        }
        catch (MoeException exception)
        {
            return this with { LoadError = exception.Message };
        }
    }

    public void WriteJson(Utf8JsonWriter writer)
    {
        bool isKnown = Refusal is null;
        writer.WriteStartObject();
        writer.WriteString("backend", Backend);
        writer.WriteNumberOrNull("hidden_size_padded", isKnown ? HiddenSize : (long?)null);
        writer.WriteNumberOrNull("intermediate_size_padded", isKnown ? IntermediateSize : (long?)null);
        writer.WriteNumberOrNull("bytes_padded", isKnown ? PaddedBytes : (long?)null);
        writer.WriteNumberOrNull("padding_bytes", isKnown ? PaddedBytes - ModelBytes : (long?)null);
        writer.WriteNumberOrNull("padding_percent", isKnown ? Math.Round(100 * Overhead, 3) : (double?)null);
        writer.WriteNumberOrNull("bytes_stored", StoredBytes);
        writer.WriteString("remark", Remark);
        writer.WriteString("message", Refusal ?? LoadError);
        writer.WriteEndObject();
    }
}
