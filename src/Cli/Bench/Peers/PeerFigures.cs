using System.Text.Json.Serialization;

namespace Moe.Plugins.Cli;

/// <summary>Others' figures for the same layers, from a JSON file: measured elsewhere, and so compared by their ratio to the floor of their own run.</summary>
internal sealed record PeerFigures
{
    public required string Date { get; init; }

    /// <summary>Words that the device's name has, such as <c>H100 80GB</c>.</summary>
    public required string Device { get; init; }

    public required double CopyGbps { get; init; }

    public required double Bf16Tflops { get; init; }

    /// <summary>How it was measured, one sentence.</summary>
    public required string Measured { get; init; }

    public required IReadOnlyList<Peer> Peers { get; init; }

    public required IReadOnlyList<PeerRow> Rows { get; init; }

    [JsonIgnore]
    public BenchFloor Floor => new(CopyGbps, Bf16Tflops);

    /// <exception cref="MoeException">The file is not there, or is none.</exception>
    public static PeerFigures Load(string path) => BenchJson.Load<PeerFigures>(path, "a file of peers' figures");

    /// <summary>Whether the figures are of such a device.</summary>
    public bool IsOf(string device) => Device.Split(' ').All(word => device.Contains(word, StringComparison.OrdinalIgnoreCase));

    /// <summary>The peers' points for weights of a format, by their names.</summary>
    public IEnumerable<PeerPoint> Points(string shape, string weights) =>
        from row in Rows
        where row.Shape == shape
        from peer in Peers
        where peer.Weights == weights && row.Microseconds.ContainsKey(peer.Name)
        let time = row.Microseconds[peer.Name]
        select new PeerPoint(peer.Name, row.Tokens, time, time / FloorOf(row, weights));

    /// <summary>The floor of uniform routing in this run, with the distinct experts that are expected.</summary>
    private double FloorOf(PeerRow row, string weights)
    {
        MoeLayerShape shape = LayerShapeText.Parse(row.Shape) with { WeightFormat = LayerShapeText.FormatOf(weights) };
        return Floor.Microseconds(shape, row.Tokens, BenchFloor.ExpectedExperts(shape, row.Tokens));
    }
}
