using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>
/// A router's weights for a benchmark. All have the same magnitude and a random sign, so that with random tokens every expert's logit has
/// the same distribution, and only the bias makes one expert more popular than another.
/// </summary>
internal sealed class BenchRouter : IDisposable
{
    /// <summary>Standard deviation of the logits, about, as <see cref="RandomInput"/> has a root mean square of 1.6.</summary>
    private const double LogitDeviation = 1.5;

    private readonly MoeBuffer _weight;
    private readonly MoeBuffer _bias;
    private readonly MoeBuffer _selectionBias;
    private readonly MoeLayerShape _shape;

    /// <summary>Makes a router.</summary>
    /// <param name="shape">The layer.</param>
    /// <param name="seed">The same seed gives the same router.</param>
    /// <param name="isSkewed">
    /// Whether some experts are more popular than others: the bias of the n-th is −ln n, in an order that the seed shuffles; of a router with a
    /// selection bias, whose scores lie in 0 to 1, a tenth of that.
    /// </param>
    /// <exception cref="MoeException">Some experts are to be more popular, and the router has no bias.</exception>
    public BenchRouter(MoeLayerShape shape, int seed, bool isSkewed)
    {
        if (isSkewed && !shape.Router.HasLogitBias && !shape.Router.HasSelectionBias)
        {
            throw new MoeException(
                MoeReason.Configuration,
                $"--routing {BenchSettings.Skewed} makes some experts more popular by the router's bias, and that of {LayerShapeText.SizesOf(shape)} has none; {BenchSettings.Uniform} is expected.");
        }

        _shape = shape;
        _weight = MoeBuffer.OnHost(MoeElementType.BFloat16, shape.ExpertCount, shape.HiddenSize);
        _bias = MoeBuffer.OnHost(MoeElementType.BFloat16, 1, shape.ExpertCount);
        _selectionBias = MoeBuffer.OnHost(MoeElementType.Float32, 1, shape.ExpertCount);
        var random = new Random(seed);
        ushort magnitude = MoeBFloat16.FromSingle((float)(1 / Math.Sqrt(shape.HiddenSize)));
        foreach (ref ushort weight in BFloat16.Span(_weight.View))
        {
            weight = random.Next(2) == 0 ? magnitude : BFloat16.Negate(magnitude);
        }

        int[] ranks = [.. Enumerable.Range(1, shape.ExpertCount)];
        random.Shuffle(ranks);
        Span<ushort> bias = BFloat16.Span(_bias.View);
        for (int expert = 0; expert < bias.Length; expert++)
        {
            bias[expert] = MoeBFloat16.FromSingle(isSkewed ? -MathF.Log(ranks[expert]) : 0);
        }

        _selectionBias.CopyFrom([.. ranks.Select(rank => isSkewed ? -0.1f * MathF.Log(rank) : 0)]);
    }

    /// <summary>The source with this router in the place of its own.</summary>
    public MoeWeightSource ReplaceIn(MoeWeightSource source) => source with
    {
        RouterWeight = _weight.View,
        RouterBias = _shape.Router.HasLogitBias ? _bias.View : null,
        SelectionBias = _shape.Router.HasSelectionBias ? _selectionBias.View : null,
    };

    /// <summary>
    /// Adds to a token what makes this router choose the given experts: a multiple of their weights' signs, which are nearly orthogonal.
    /// Ten standard deviations of what a random token's logits are apart leave no doubt.
    /// </summary>
    public void Plant(Span<ushort> token, ReadOnlySpan<int> experts)
    {
        float step = (float)(10 * LogitDeviation / Math.Sqrt(token.Length));
        for (int column = 0; column < token.Length; column++)
        {
            float value = MoeBFloat16.ToSingle(token[column]);
            foreach (int expert in experts)
            {
                value += MathF.CopySign(step, MoeBFloat16.ToSingle(BFloat16.Row(_weight.View, expert)[column]));
            }

            token[column] = MoeBFloat16.FromSingle(value);
        }
    }

    public void Dispose()
    {
        _weight.Dispose();
        _bias.Dispose();
        _selectionBias.Dispose();
    }
}
