namespace Moe.Plugins.Cpu;

/// <summary>
/// Chooses the experts of a chunk of a batch: by the router's logits, by its table of tokens, or as the caller did. The choice and its weights are the
/// workspace's afterwards. Used again for each chunk.
/// </summary>
internal sealed unsafe class ChunkRouter(CpuWeights weights, CpuWorkspace workspace, int threads)
{
    /// <summary>The most experts whose logits are one unit of work.</summary>
    private const int MaxGroup = 8;

    private readonly MoeLayerShape _shape = weights.Config.Shape;
    private MoeRouteArguments _arguments;
    private int _first;
    private int _tokens;
    private int _group;

    /// <summary>Units of <see cref="Score"/>: some experts of a token each.</summary>
    public int ScoreUnits => _tokens * Groups;

    private int Groups => (_shape.ExpertCount + _group - 1) / _group;

    /// <summary>Takes a chunk.</summary>
    /// <param name="arguments">The batch.</param>
    /// <param name="first">The chunk's first token.</param>
    /// <param name="tokens">Its tokens.</param>
    public void Begin(in MoeRouteArguments arguments, int first, int tokens)
    {
        (_arguments, _first, _tokens) = (arguments, first, tokens);
        _group = Math.Clamp(tokens * _shape.ExpertCount / threads, 1, MaxGroup);
    }

    /// <summary>Reads a token's row, which the experts read too.</summary>
    public void Widen(int token) => Floats.ReadRow(_arguments.Input, _first + token, workspace.Rows + ((long)token * _shape.HiddenSize));

    /// <summary>Finds the experts of all tokens in the table.</summary>
    /// <exception cref="ArgumentException">A token's id is not in it.</exception>
    public void LookUp()
    {
        RouterWeights router = weights.Router!;
        for (int token = 0; token < _tokens; token++)
        {
            int id = *(int*)_arguments.TokenIds.RowAddress(_first + token);
            if ((uint)id >= (uint)router.VocabularySize)
            {
                throw new ArgumentException($"Token {_first + token} has the id {id}; 0 to {router.VocabularySize - 1}, the table of tokens, is expected.");
            }

            router.Experts(id).CopyTo(new Span<int>(workspace.Ids + (token * _shape.TopK), _shape.TopK));
        }
    }

    /// <summary>Takes the caller's choice.</summary>
    /// <exception cref="ArgumentException">It has an expert that the layer has not.</exception>
    public void CopyChoice()
    {
        for (int token = 0; token < _tokens; token++)
        {
            var ids = new ReadOnlySpan<int>((void*)_arguments.TopKIds.RowAddress(_first + token), _shape.TopK);
            var chosenWeights = new ReadOnlySpan<float>((void*)_arguments.TopKWeights.RowAddress(_first + token), _shape.TopK);
            foreach (int id in ids)
            {
                if ((uint)id >= (uint)_shape.ExpertCount)
                {
                    throw new ArgumentException($"Token {_first + token} goes to expert {id}; 0 to {_shape.ExpertCount - 1} is expected.");
                }
            }

            ids.CopyTo(new Span<int>(workspace.Ids + (token * _shape.TopK), _shape.TopK));
            chosenWeights.CopyTo(new Span<float>(workspace.Weights + (token * _shape.TopK), _shape.TopK));
        }
    }

    /// <summary>Computes a unit's logits.</summary>
    public void Score(int unit)
    {
        (int token, int group) = Math.DivRem(unit, Groups);
        int firstExpert = group * _group;
        RouterWeights router = weights.Router!;
        float* x = workspace.Rows + ((long)token * _shape.HiddenSize);
        double* logits = workspace.Logits + ((long)token * _shape.ExpertCount);
        for (int expert = firstExpert; expert < Math.Min(firstExpert + _group, _shape.ExpertCount); expert++)
        {
            logits[expert] = DoubleDot.Compute(x, router.Row(expert), _shape.HiddenSize) + router.Bias(expert);
        }
    }

    /// <summary>Chooses a token's experts by its logits, or weighs those of the table, and hands the choice to a caller who asks for it.</summary>
    public void Choose(int token)
    {
        var ids = new Span<int>(workspace.Ids + (token * _shape.TopK), _shape.TopK);
        var chosenWeights = new Span<float>(workspace.Weights + (token * _shape.TopK), _shape.TopK);
        long row = (long)token * _shape.ExpertCount;
        ExpertChoice.Choose(
            _shape.Router, workspace.Logits + row, _shape.ExpertCount, weights.Router!.SelectionBias, workspace.Scratch + (2 * row), ids, chosenWeights);
        if (!_arguments.TopKIds.IsEmpty)
        {
            ids.CopyTo(new Span<int>((void*)_arguments.TopKIds.RowAddress(_first + token), _shape.TopK));
            chosenWeights.CopyTo(new Span<float>((void*)_arguments.TopKWeights.RowAddress(_first + token), _shape.TopK));
        }
    }
}
