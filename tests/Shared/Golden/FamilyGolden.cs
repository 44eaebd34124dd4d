using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Tests;

/// <summary>One layer of a tiny model of some family, and what transformers computes with it in float64.</summary>
internal sealed class FamilyGolden : IDisposable
{
    private readonly MoeBuffer _input;
    private readonly MoeBuffer _expected;

    private FamilyGolden(Checkpoint checkpoint, CheckpointLayer layer, MoeBuffer input, MoeBuffer expected)
    {
        Checkpoint = checkpoint;
        Layer = layer;
        _input = input;
        _expected = expected;
    }

    /// <summary>Names of the folders.</summary>
    public static IReadOnlyList<string> Names { get; } =
        [.. Directory.GetDirectories(Path.Combine(AppContext.BaseDirectory, "golden", "families")).Select(folder => Path.GetFileName(folder)!).Order(StringComparer.Ordinal)];

    public Checkpoint Checkpoint { get; }

    /// <summary>The layer that the expectation is of.</summary>
    public CheckpointLayer Layer { get; }

    /// <summary>[13, 96] BF16.</summary>
    public MoeTensorView Input => _input.View;

    /// <summary>[13, 96] float32.</summary>
    public MoeTensorView Expected => _expected.View;

    public static string Folder(string name) => Path.Combine(AppContext.BaseDirectory, "golden", "families", name);

    public static FamilyGolden Open(string name)
    {
        using var expected = SafetensorsFile.Open(Path.Combine(Folder(name), "expected.safetensors"));
        int layer = int.Parse(expected.Metadata["layer"], System.Globalization.CultureInfo.InvariantCulture);
        var checkpoint = Checkpoint.Open(Folder(name));
        return new FamilyGolden(
            checkpoint,
            checkpoint.MoeLayers.Single(found => found.Index == layer),
            MoeBuffer.OnHost(expected.GetTensor(expected.Tensors["input"])),
            MoeBuffer.OnHost(expected.GetTensor(expected.Tensors["expected.output"])));
    }

    public void Dispose()
    {
        Checkpoint.Dispose();
        _input.Dispose();
        _expected.Dispose();
    }
}
