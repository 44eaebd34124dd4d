using System.Text.Json;

namespace Moe.Plugins.Cli;

/// <summary>What one backend pads a layer to.</summary>
internal sealed record PaddingCost
{
    public required string Backend { get; init; }

    public required MoeLayerShape Shape { get; init; }

    /// <summary>Why the backend has no sizes for such a layer; null where it has.</summary>
    public string? Refusal { get; private init; }

    public int HiddenSize { get; private init; }

    public int IntermediateSize { get; private init; }

    public long ModelBytes => LayerBytes.Count(Shape, Shape.HiddenSize, Shape.IntermediateSize);

    /// <summary>Bytes at the padded sizes, in the checkpoint's own format.</summary>
    public long PaddedBytes => LayerBytes.Count(Shape, HiddenSize, IntermediateSize);

    public double Overhead => ((double)PaddedBytes / ModelBytes) - 1;

    public static IReadOnlyList<PaddingCost> ForEachBackend(MoeHost host, MoeLayerShape shape)
    {
        MoeSelectionReport report = host.Explain(new MoeLayerRequest { Shape = shape });
        return
        [
            .. report.Candidates.Select(candidate => new PaddingCost
            {
                Backend = candidate.Id,
                Shape = shape,
                Refusal = candidate.HiddenSize is null ? candidate.Message : null,
                HiddenSize = candidate.HiddenSize ?? 0,
                IntermediateSize = candidate.IntermediateSize ?? 0,
            }),
        ];
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
        writer.WriteString("message", Refusal);
        writer.WriteEndObject();
    }
}
