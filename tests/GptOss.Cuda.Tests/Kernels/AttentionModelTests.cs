using Moe.Plugins.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>Attention on a model of a thread block, against the formula in float64.</summary>
public sealed class AttentionModelTests
{
    private const int Layer = 1;
    private const double Tolerance = 1e-2;

    /// <summary>Positions at the ends of tiles and pages, more than a block has before it is split, and more splits than the grid has.</summary>
    [Theory]
    [InlineData(64, 16, 2, 0, 1, 0, 31, 32)]
    [InlineData(64, 8, 1, 0, 4, 63, 255, 256, 600)]
    [InlineData(64, 8, 1, 128, 4, 0, 127, 128, 500)]
    [InlineData(32, 8, 2, 8, 2, 5, 7, 8, 100)]
    [InlineData(32, 2, 2, 0, 32, 319, 1)]
    public void A_step_is_what_the_formula_says(int size, int heads, int keyValueHeads, int window, int splits, params int[] positions)
    {
        var test = new Case(size, heads, keyValueHeads, window, [.. positions.Select((position, text) => (text, position))], positions.Max() + 1);
        using (var kernel = new BlockModel<ModelKernels.AttentionParameters>("gpt_oss_attention.cu", $"moe_attention_decode<{size}>", "AttentionParameters"))
        {
            // Twice: the counts of splits must be what they were.
            kernel.Run(test.Parameters, threads: 256, splits, keyValueHeads, positions.Length);
            kernel.Run(test.Parameters, threads: 256, splits, keyValueHeads, positions.Length);
        }

        test.Check();
    }

    /// <summary>Two texts, the second one's tokens behind others in its cache, groups that are not full.</summary>
    [Theory]
    [InlineData(64, 8, 1, 0, 21, 0, 5, 130)]
    [InlineData(64, 16, 2, 128, 9, 60, 4, 200)]
    [InlineData(32, 8, 2, 8, 30, 0, 7, 40)]
    [InlineData(32, 16, 1, 0, 3, 0, 2, 31)]
    public void A_prompt_is_what_the_formula_says(int size, int heads, int keyValueHeads, int window, int first, int begin, int second, int secondBegin)
    {
        (int Text, int Position)[] tokens =
            [.. Enumerable.Range(begin, first).Select(position => (0, position)), .. Enumerable.Range(secondBegin, second).Select(position => (1, position))];
        var test = new Case(size, heads, keyValueHeads, window, tokens, Math.Max(begin + first, secondBegin + second));
        TokenGroup[] groups = test.Groups(first);
        ModelKernels.AttentionParameters parameters = test.Parameters;
        parameters.Groups = Pinned.Address(groups);
        parameters.GroupCount = groups.Length;
        using (var kernel = new BlockModel<ModelKernels.AttentionParameters>("gpt_oss_attention.cu", $"moe_attention_prefill<{size}>", "AttentionParameters"))
        {
            kernel.Run(parameters, threads: 128, (groups.Length + 3) / 4, keyValueHeads);
        }

        test.Check();
    }

    private sealed class Case
    {
        private readonly int _size;
        private readonly int _heads;
        private readonly int _window;
        private readonly (int Text, int Position)[] _places;
        private readonly PagedCache _cache;
        private readonly ushort[] _queries;
        private readonly ushort[] _out;
        private readonly float[] _sinks;
        private readonly DeviceToken[] _tokens;
        private readonly float[] _partial;
        private readonly int[] _arrived;
        private readonly int _keyValueHeads;

        public Case(int size, int heads, int keyValueHeads, int window, (int Text, int Position)[] places, int positions)
        {
            var random = new Random(positions);
            (_size, _heads, _keyValueHeads, _window, _places) = (size, heads, keyValueHeads, window, places);
            int texts = places.Max(place => place.Text) + 1;
            _cache = new PagedCache(heads, keyValueHeads, size, layers: 2, texts, positions);
            for (int text = 0; text < texts; text++)
            {
                _cache.Fill(Layer, text, places.Where(place => place.Text == text).Max(place => place.Position), random);
            }

            _queries = Pinned.Brain(places.Length * heads * size, random, range: 2);
            _out = Pinned.Make<ushort>(places.Length * heads * size);
            _sinks = Pinned.Singles(heads, random, range: 3);
            _tokens = Pinned.Make(places.Length, i => _cache.Token(places[i].Text, places[i].Position));
            _partial = Pinned.Make(places.Length * keyValueHeads * 32 * 16 * (size + 2), _ => float.NaN);
            _arrived = Pinned.Make<int>(places.Length * keyValueHeads);
        }

        public ModelKernels.AttentionParameters Parameters => new()
        {
            Queries = Pinned.Address(_queries),
            Tokens = Pinned.Address(_tokens),
            Sinks = Pinned.Address(_sinks),
            Out = Pinned.Address(_out),
            Partial = Pinned.Address(_partial),
            Arrived = Pinned.Address(_arrived),
            Cache = _cache.Layer(Layer),
            Heads = _heads,
            Window = _window,
            Scale = (float)(Math.Log2(Math.E) / Math.Sqrt(_size)),
        };

        public TokenGroup[] Groups(int firstText)
        {
            int most = 16 / _cache.GroupSize;
            var groups = new List<TokenGroup>();
            foreach ((int first, int count) in ((int, int)[])[(0, firstText), (firstText, _places.Length - firstText)])
            {
                for (int i = 0; i < count; i += most)
                {
                    groups.Add(new TokenGroup(first + i, Math.Min(most, count - i)));
                }
            }

            return Pinned.Make(groups.Count, i => groups[i]);
        }

        public void Check()
        {
            Assert.All(_arrived, count => Assert.Equal(0, count));
            for (int token = 0; token < _places.Length; token++)
            {
                for (int head = 0; head < _heads; head++)
                {
                    (int text, int position) = _places[token];
                    ReadOnlySpan<ushort> query = _queries.AsSpan(((token * _heads) + head) * _size, _size);
                    double[] expected = _cache.Attend(Layer, text, position, _window, head, query, _sinks[head]);
                    for (int i = 0; i < _size; i++)
                    {
                        Assert.Equal(expected[i], BFloat16.ToSingle(_out[(((token * _heads) + head) * _size) + i]), Tolerance);
                    }
                }
            }
        }
    }
}
