using Moe.Plugins.Checkpoints;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>A layer's weights and the tokens to run through it, from a checkpoint or random.</summary>
internal sealed class RunInput : IDisposable
{
    /// <summary>Random tokens where nobody says how many.</summary>
    public const int DefaultTokens = 16;

    private readonly List<IDisposable> _owned;

    private RunInput(List<IDisposable> owned) => _owned = owned;

    /// <summary>For people: which layer of what.</summary>
    public required string Description { get; init; }

    /// <summary>The layer's name in its model, which settings may single out; empty where it has none.</summary>
    public string LayerName { get; private init; } = "";

    /// <summary>The names of all layers of the model; none where the weights are random.</summary>
    public IReadOnlyList<string> LayerNames { get; private init; } = [];

    public required MoeLayerShape Shape { get; init; }

    public required MoeWeightSource Source { get; init; }

    /// <summary>[tokens, hidden size] in host memory.</summary>
    public required MoeTensorView Tokens { get; init; }

    /// <summary>What the file says is right, for at least those tokens; empty where it does not.</summary>
    public MoeTensorView Expected { get; private init; }

    /// <summary>[tokens, 1] int32 in host memory; empty where the layer does not look experts up by token.</summary>
    public MoeTensorView TokenIds { get; private init; }

    /// <summary>Takes a layer of a checkpoint and, from there or another file, its input.</summary>
    /// <exception cref="MoeException">
    /// The checkpoint is malformed, has no such layer, one that the caller must route, or fewer tokens; or the other file has no input.
    /// </exception>
    public static RunInput FromCheckpoint(string path, int? layerIndex, string? inputPath, int? tokens, int seed)
    {
        var owned = new List<IDisposable>();
        try
        {
            var checkpoint = Checkpoint.Open(path);
            owned.Add(checkpoint);
            CheckpointLayer layer = SelectLayer(checkpoint, layerIndex);
            if (layer.CallerRoutes is not null)
            {
                throw new MoeException(
                    MoeReason.Configuration,
                    $"Layer '{layer.Name}' of {layer.Family} cannot be run by itself: {layer.CallerRoutes}, and a program that does so hands in experts and weights.");
            }

            RunTensors tensors = RunTensors.Open(inputPath ?? path, inputPath is null ? checkpoint : null, owned);
            MoeTensorView? input = tensors.Tokens(layer.Shape.HiddenSize, tokens, isRequired: inputPath is not null);
            if (input is null)
            {
                MoeBuffer random = RandomTokens(layer.Shape, tokens, seed);
                owned.Add(random);
            }

            MoeTensorView rows = input ?? ((MoeBuffer)owned[^1]).View;
            return new RunInput(owned)
            {
                Description = $"{layer.Name} of {path}",
                LayerName = layer.Name,
                LayerNames = [.. checkpoint.MoeLayers.Select(other => other.Name)],
                Shape = layer.Shape,
                Source = layer.Source,
                Tokens = rows,
                TokenIds = layer.Source.TokenTable is { } table ? tensors.TokenIds(rows.Rows, table.Rows, seed) : default,
                Expected = input is null ? default : tensors.Expected(rows),
            };
        }
        catch
        {
            owned.ForEach(item => item.Dispose());
            throw;
        }
    }

    /// <summary>Makes a random layer and random tokens.</summary>
    /// <exception cref="MoeException">There is not that much memory.</exception>
    public static RunInput Random(MoeLayerShape shape, int? tokens, int seed)
    {
        HostMemory.RequireLayer(shape, tokens ?? DefaultTokens);
        var layer = new RandomLayer(shape, seed);
        MoeBuffer input = RandomTokens(shape, tokens, seed);
        return new RunInput([layer, input])
        {
            Description = $"random weights, seed {seed}",
            Shape = shape,
            Source = layer.Source,
            Tokens = input.View,
        };
    }

    /// <summary>Says that a checkpoint has no experts.</summary>
    public static MoeException NoLayers(Checkpoint checkpoint) => new(
        MoeReason.Checkpoint,
        $"'{PlainText.Of(checkpoint.Path)}' has no tensors of experts{(checkpoint.ModelType is string type ? $" (its model_type is '{PlainText.Of(type)}')" : "")}; "
        + $"layers of these models are read: {string.Join(", ", Checkpoint.Families)}.");

    public void Dispose() => _owned.ForEach(item => item.Dispose());

    private static MoeBuffer RandomTokens(MoeLayerShape shape, int? tokens, int seed)
    {
        int count = tokens ?? DefaultTokens;
        HostMemory.RequireTokens(shape, count);
        return RandomInput.Create(count, shape.HiddenSize, seed);
    }

    private static CheckpointLayer SelectLayer(Checkpoint checkpoint, int? index)
    {
        if (checkpoint.MoeLayers.Count == 0)
        {
            throw NoLayers(checkpoint);
        }

        CheckpointLayer[] found = [.. checkpoint.MoeLayers.Where(layer => index is null || layer.Index == index)];
        if (found.Length > 0 && (index is null || found.Length == 1))
        {
            return found[0];
        }

        string what = found.Length > 1 ? $"is {string.Join(" and ", found.Select(layer => PlainText.Of(layer.Name)))}" : "does not exist";
        int[] indices = [.. checkpoint.MoeLayers.Select(layer => layer.Index)];
        string range = indices.Length == 1 ? $"{indices[0]}" : $"{indices.Min()} to {indices.Max()}";
        throw new MoeException(
            MoeReason.Configuration,
            $"--layer {index} {what}: '{checkpoint.Path}' has {HumanText.Count(indices.Length, "mixture-of-experts layer")}, number {range}.");
    }
}
