namespace Moe.Plugins.GptOss.Tests;

/// <summary>Attention over the cache, against the formula in float64.</summary>
public sealed unsafe class AttentionTests
{
    private const int Layer = 1;
    private const int KeyValueHead = 1;
    private const int Positions = 700;

    [Theory]
    [InlineData(MoeElementType.Float32, 4, 0, 0, 1e-5)]
    [InlineData(MoeElementType.Float32, 6, 0, 699, 1e-5)]
    [InlineData(MoeElementType.Float32, 3, 573, 699, 1e-5)]
    [InlineData(MoeElementType.Float32, 8, 130, 255, 1e-5)]
    [InlineData(MoeElementType.BFloat16, 5, 0, 511, 1e-2)]
    [InlineData(MoeElementType.BFloat16, 8, 97, 224, 1e-2)]
    public void Any_heads_and_positions_give_what_the_formula_says(MoeElementType cache, int heads, int first, int last, double tolerance)
    {
        var config = GptOssConfig.Read(Path.Combine(Golden.Folder, "config.json"));
        int size = config.HeadSize;
        using var pages = new CachePages(config, cache);
        pages.Reserve(Positions);
        var random = new Random(1);
        float[][] keys = [.. Enumerable.Range(0, Positions).Select(_ => Row(random, size))];
        float[][] values = [.. Enumerable.Range(0, Positions).Select(_ => Row(random, size))];
        for (int position = 0; position < Positions; position++)
        {
            CachePage page = pages.Page(Layer, position / CachePage.Positions);
            CacheRow.WriteKey(page.Keys(KeyValueHead), position % CachePage.Positions, keys[position], cache);
            CacheRow.WriteValue(page.Values(KeyValueHead), position % CachePage.Positions, values[position], cache);
        }

        float[] queries = Row(random, heads * size);
        float[] sinks = Row(random, heads);
        int width = CacheRow.Width(size);
        float[] whole = GC.AllocateArray<float>((int)AttentionState.Size(heads, width), pinned: true);
        float[] later = GC.AllocateArray<float>(whole.Length, pinned: true);
        int middle = (first + last) / 2;
        fixed (float* q = queries, w = whole, l = later)
        {
            var attention = new Attention(pages, Layer, KeyValueHead, heads, size);
            var state = new AttentionState(w, heads, width);
            state.Begin(sinks);
            attention.Run(q, first, middle, state);
            if (middle < last)
            {
                var rest = new AttentionState(l, heads, width);
                rest.Begin(default);
                attention.Run(q, middle + 1, last, rest);
                state.Add(rest);
            }

            for (int head = 0; head < heads; head++)
            {
                Check(queries.AsSpan(head * size, size), sinks[head], keys[first..(last + 1)], values[first..(last + 1)], state.Finish(head), tolerance);
            }
        }
    }

    [Fact]
    public void A_token_that_reads_its_cache_in_parts_gives_what_a_prompt_gives()
    {
        int[] text = [.. Enumerable.Range(0, 1000).Select(i => i * 37 % 320)];
        using GptOssModel model = Models.Load(options => options.Threads = 3);
        float[] prompt = Models.AllLogits(model, text, 600, 400);
        float[] single = Models.AllLogits(model, text, [600, 390, .. Enumerable.Repeat(1, 10)]);
        Assert.InRange(Models.WorstRow(single, prompt, model.Config.VocabularySize), 0, Models.Float32Error);

        using GptOssModel alone = Models.Load(options => options.Threads = 1);
        Assert.Equal(single, Models.AllLogits(alone, text, [600, 390, .. Enumerable.Repeat(1, 10)]));
    }

    private static float[] Row(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => (float)(2 * random.NextDouble()) - 1)];

    private static void Check(ReadOnlySpan<float> query, float sink, float[][] keys, float[][] values, Span<float> result, double tolerance)
    {
        double[] weights = new double[keys.Length];
        for (int j = 0; j < keys.Length; j++)
        {
            for (int i = 0; i < query.Length; i++)
            {
                weights[j] += (double)query[i] * keys[j][i];
            }

            weights[j] = Math.Exp(weights[j]);
        }

        double sum = weights.Sum() + Math.Exp(sink);
        for (int i = 0; i < query.Length; i++)
        {
            double expected = 0;
            for (int j = 0; j < keys.Length; j++)
            {
                expected += weights[j] / sum * values[j][i];
            }

            Assert.Equal(expected, result[i], tolerance);
        }
    }
}
