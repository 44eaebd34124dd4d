using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>Sequences of random tokens that steps are measured with, again and again at the same place.</summary>
internal sealed class BenchSequences : IDisposable
{
    private readonly GptOssModel _model;
    private readonly Random _random;
    private readonly int _context;
    private readonly GptOssSequence[] _sequences;
    private readonly int[] _next;

    /// <summary>Reads what comes before.</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">Sequences.</param>
    /// <param name="context">Positions that each has before.</param>
    /// <param name="random">Draws the tokens.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    public BenchSequences(GptOssModel model, int batch, int context, Random random, CancellationToken cancellationToken)
    {
        _model = model;
        _random = random;
        _context = context;
        _sequences = [.. Enumerable.Range(0, batch).Select(_ => model.CreateSequence())];
        _next = new int[batch];
        try
        {
            foreach (GptOssSequence sequence in context == 0 ? [] : _sequences)
            {
                model.ChooseLikeliest([new GptOssInput { Sequence = sequence, Tokens = Tokens(context) }], _next.AsSpan(0, 1), banned: null, cancellationToken);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Random tokens.</summary>
    public int[] Tokens(int count) => [.. Enumerable.Range(0, count).Select(_ => _random.Next(_model.Config.VocabularySize))];

    /// <summary>Gives each sequence more tokens, and finds the likeliest one after them.</summary>
    /// <param name="tokens">Of the first sequence first; as many for each.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    public void Step(int[] tokens, CancellationToken cancellationToken) => _model.ChooseLikeliest(Inputs(tokens), _next, banned: null, cancellationToken);

    /// <summary>The logits of a step.</summary>
    /// <inheritdoc cref="Step" path="/param"/>
    public float[] Logits(int[] tokens, CancellationToken cancellationToken)
    {
        float[] logits = new float[_sequences.Length * _model.Config.VocabularySize];
        _model.ForwardBatch(Inputs(tokens), logits, cancellationToken);
        return logits;
    }

    public void Dispose() => Array.ForEach(_sequences, sequence => sequence.Dispose());

    private GptOssInput[] Inputs(int[] tokens)
    {
        Array.ForEach(_sequences, sequence => sequence.Truncate(_context));
        int each = tokens.Length / _sequences.Length;
        return [.. _sequences.Select((sequence, i) => new GptOssInput { Sequence = sequence, Tokens = tokens.AsMemory(i * each, each) })];
    }
}
