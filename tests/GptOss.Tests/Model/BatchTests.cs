namespace Moe.Plugins.GptOss.Tests;

/// <summary>However a text is fed, it is the same text.</summary>
public sealed class BatchTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static int[] Ids(params int[] ids) => ids;

    [Theory]
    [InlineData(512)]
    [InlineData(5)]
    [InlineData(1)]
    public void Chunks_agree(int chunkTokens)
    {
        using GptOssModel model = Models.Load(options => options.ChunkTokens = chunkTokens);
        float[] logits = Models.AllLogits(model, Golden.Text);
        Assert.InRange(Models.WorstRow(logits, Golden.Logits, model.Config.VocabularySize), 0, Models.Float32Error);
    }

    [Fact]
    public void Pieces_and_single_tokens_agree()
    {
        using GptOssModel model = Models.Load();
        float[] pieces = Models.AllLogits(model, Golden.Text, 7, 20, 2, 24);
        float[] single = Models.AllLogits(model, Golden.Text, [.. Enumerable.Repeat(1, Golden.Text.Length)]);
        Assert.InRange(Models.WorstRow(pieces, Golden.Logits, model.Config.VocabularySize), 0, Models.Float32Error);
        Assert.InRange(Models.WorstRow(single, Golden.Logits, model.Config.VocabularySize), 0, Models.Float32Error);
    }

    [Fact]
    public void A_batch_of_different_lengths_agrees()
    {
        using GptOssModel model = Models.Load(options => options.ChunkTokens = 16);
        int vocabulary = model.Config.VocabularySize;
        int[] lengths = [1, 40, 9, 53];
        GptOssSequence[] sequences = [.. lengths.Select(_ => model.CreateSequence())];
        GptOssInput[] inputs = [.. lengths.Select((length, i) => new GptOssInput { Sequence = sequences[i], Tokens = Golden.Text.AsMemory(0, length) })];
        float[] logits = new float[lengths.Length * vocabulary];
        model.ForwardBatch(inputs, logits, Cancellation);
        for (int i = 0; i < lengths.Length; i++)
        {
            ReadOnlySpan<float> expected = Golden.Logits.AsSpan((lengths[i] - 1) * vocabulary, vocabulary);
            Assert.InRange(Models.WorstRow(logits.AsSpan(i * vocabulary, vocabulary), expected, vocabulary), 0, Models.Float32Error);
            Assert.Equal(lengths[i], sequences[i].Length);
            sequences[i].Dispose();
        }
    }

    [Fact]
    public void The_same_batch_gives_the_same_bits()
    {
        using GptOssModel model = Models.Load(options => options.Threads = 3);
        float[] first = Models.AllLogits(model, Golden.Text, 30, 23);
        float[] second = Models.AllLogits(model, Golden.Text, 30, 23);
        Assert.Equal(first, second);
    }

    [Fact]
    public void Forgotten_tokens_leave_no_trace()
    {
        using GptOssModel model = Models.Load();
        using GptOssSequence sequence = model.CreateSequence();
        float[] logits = new float[model.Config.VocabularySize];
        model.Forward(sequence, Golden.Text.AsMemory(0, 30), logits, Cancellation);
        model.Forward(sequence, Ids(300, 200, 100, 5, 6), logits, Cancellation);
        sequence.Truncate(20);
        model.Forward(sequence, Golden.Text.AsMemory(20, 33), logits, Cancellation);
        ReadOnlySpan<float> expected = Golden.Logits.AsSpan(52 * logits.Length);
        Assert.InRange(Models.WorstRow(logits, expected, logits.Length), 0, Models.Float32Error);
    }

    [Fact]
    public void A_text_longer_than_the_context_is_refused_by_how_much()
    {
        using GptOssModel model = Models.Load(options => options.MaxContext = 50);
        using GptOssSequence sequence = model.CreateSequence();
        float[] logits = new float[model.Config.VocabularySize];
        MoeException refused = Assert.Throws<MoeException>(() => model.Forward(sequence, Golden.Text, logits, Cancellation));
        Assert.Equal(MoeReason.Configuration, refused.Reason);
        Assert.Contains("53 tokens, 3 more than the context of 50", refused.Message, StringComparison.Ordinal);
        Assert.Equal(0, sequence.Length);

        model.Forward(sequence, Golden.Text.AsMemory(0, 50), logits, Cancellation);
        Assert.Equal(50, sequence.Length);
    }

    [Fact]
    public void Tokens_beyond_the_vocabulary_and_a_sequence_twice_are_refused()
    {
        using GptOssModel model = Models.Load();
        using GptOssSequence sequence = model.CreateSequence();
        float[] logits = new float[model.Config.VocabularySize];
        ArgumentException unknown = Assert.Throws<ArgumentException>(() => model.Forward(sequence, Ids(320), logits, Cancellation));
        Assert.Contains("0 to 319", unknown.Message, StringComparison.Ordinal);
        var input = new GptOssInput { Sequence = sequence, Tokens = Ids(1) };
        Assert.Throws<ArgumentException>(() => model.ForwardBatch([input, input], new float[640], Cancellation));
        Assert.Throws<ArgumentException>(() => model.Forward(sequence, Ids(1), logits.AsSpan(1), Cancellation));
    }

    [Fact]
    public void A_cancelled_forward_leaves_the_text_as_it_was()
    {
        using GptOssModel model = Models.Load();
        using GptOssSequence sequence = model.CreateSequence();
        float[] logits = new float[model.Config.VocabularySize];
        model.Forward(sequence, Golden.Prompt, logits, Cancellation);
        Assert.Throws<OperationCanceledException>(() => model.Forward(sequence, Ids(1), logits, new CancellationToken(canceled: true)));
        model.Forward(sequence, Golden.Generated, logits, Cancellation);
        ReadOnlySpan<float> expected = Golden.Logits.AsSpan(52 * logits.Length);
        Assert.InRange(Models.WorstRow(logits, expected, logits.Length), 0, Models.Float32Error);
    }
}
