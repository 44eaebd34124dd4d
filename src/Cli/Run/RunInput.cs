using Moe.Plugins.Checkpoints;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>A layer's weights and the tokens to run through it, from a checkpoint or random.</summary>
internal sealed class RunInput : IDisposable
{
    /// <summary>Random tokens where nobody says how many.</summary>
    public const int DefaultTokens = 16;

    private const string InputTensor = "input";
    private const string ExpectedTensor = "expected.output";

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

    /// <summary>Takes a layer and, where it has one, the input of a checkpoint.</summary>
    /// <exception cref="MoeException">The checkpoint is malformed, has no such layer, or fewer tokens.</exception>
    public static RunInput FromCheckpoint(string path, int? layerIndex, int? tokens, int seed)
    {
        var checkpoint = Checkpoint.Open(path);
        var owned = new List<IDisposable> { checkpoint };
        try
        {
            CheckpointLayer layer = SelectLayer(checkpoint, layerIndex);
            bool hasInput = checkpoint.TryGetView(InputTensor, out MoeTensorView input);
            if (hasInput)
            {
                input = TakeTokens(path, input, layer.Shape.HiddenSize, tokens);
            }
            else
            {
                MoeBuffer random = RandomTokens(layer.Shape, tokens, seed);
                owned.Add(random);
                input = random.View;
            }

            return new RunInput(owned)
            {
                Description = $"{layer.Name} of {path}",
                LayerName = layer.Name,
                LayerNames = [.. checkpoint.MoeLayers.Select(other => other.Name)],
                Shape = layer.Shape,
                Source = layer.Source,
                Tokens = input,
                Expected = hasInput ? FindExpected(path, checkpoint, input) : default,
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
        HostMemory.Require($"a layer of {LayerShapeText.Describe(shape)}", LayerBytes.Count(shape, shape.HiddenSize, shape.IntermediateSize));
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

    public void Dispose() => _owned.ForEach(item => item.Dispose());

    private static MoeBuffer RandomTokens(MoeLayerShape shape, int? tokens, int seed)
    {
        int count = tokens ?? DefaultTokens;
        HostMemory.Require($"{HumanText.Count(count, "token")} of hidden size {shape.HiddenSize}", 2.0 * count * shape.HiddenSize * sizeof(float));
        return RandomInput.Create(count, shape.HiddenSize, seed);
    }

    private static CheckpointLayer SelectLayer(Checkpoint checkpoint, int? index)
    {
        if (checkpoint.MoeLayers.Count == 0)
        {
            throw new MoeException(
                MoeReason.Checkpoint,
                $"'{PlainText.Of(checkpoint.Path)}' has no mixture-of-experts layer with GPT-OSS's names (…layers.N.mlp.experts.gate_up_proj…).");
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

    private static MoeTensorView TakeTokens(string path, MoeTensorView input, int hiddenSize, int? tokens)
    {
        bool isInput = input.ElementType is MoeElementType.BFloat16 or MoeElementType.Float32 && input.Planes == 1 && input.Columns == hiddenSize;
        if (!isInput)
        {
            throw new MoeException(
                MoeReason.Checkpoint,
                $"Tensor '{InputTensor}' of '{path}' is {input.ElementType} [{input.Rows}, {input.Columns}]; BF16 or F32 [tokens, {hiddenSize}] is expected.");
        }

        return tokens is int count && count > input.Rows
            ? throw new MoeException(
                MoeReason.Configuration,
                $"--tokens is {count}; '{PlainText.Of(path)}' has an input of {HumanText.Count(input.Rows, "token")}, so at most {input.Rows} is expected.")
            : input.FirstRows(tokens ?? input.Rows);
    }

    private static MoeTensorView FindExpected(string path, Checkpoint checkpoint, MoeTensorView input)
    {
        if (!checkpoint.TryGetView(ExpectedTensor, out MoeTensorView expected))
        {
            return default;
        }

        bool fits = expected.ElementType is MoeElementType.BFloat16 or MoeElementType.Float32
            && expected.Planes == 1 && expected.Rows >= input.Rows && expected.Columns == input.Columns;
        return fits
            ? expected.FirstRows(input.Rows)
            : throw new MoeException(
                MoeReason.Checkpoint,
                $"Tensor '{ExpectedTensor}' of '{path}' is {expected.ElementType} [{expected.Rows}, {expected.Columns}]; BF16 or F32 of the input's size is expected.");
    }
}
