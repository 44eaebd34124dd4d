using Moe.Plugins.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>A layer's attention in one launch, on a model of a thread block that has all the shares, against the formulas in float64.</summary>
public sealed class AttentionLayerModelTests
{
    private const int Layer = 1;
    private const int Positions = 700;
    private const float Epsilon = 1e-5f;

    /// <summary>
    /// Shares of less and of more than a group of rows; the begin of the stream, and its middle; attention that is split, of one tile, and with a window; blocks
    /// that find nothing to do, of which the last one norms.
    /// </summary>
    [Theory]
    [InlineData(64, 8, 1, 96, 0, 5, 2, true, 600)]
    [InlineData(64, 16, 2, 160, 128, 6, 2, false, 300, 31)]
    [InlineData(32, 4, 2, 64, 0, 12, 3, false, 64)]
    [InlineData(32, 16, 1, 544, 8, 5, 2, false, 7, 0)]
    public void It_is_what_the_formulas_say(
        int size, int heads, int keyValueHeads, int hidden, int window, int shares, int groups, bool begins, params int[] positions)
    {
        var test = new Case(size, heads, keyValueHeads, hidden, window, begins, positions);
        using (var kernel = new BlockModel<ModelKernels.AttentionLayerParameters>(
            "gpt_oss_attention_layer.cu", $"moe_attention_layer<{size}>", "AttentionLayerParameters"))
        {
            // Twice, from another block on: the counters must be what they were.
            for (int run = 0; run < 2; run++)
            {
                ModelKernels.AttentionLayerParameters parameters = test.Begin();
                AttentionLayerPlan.TryCreate(shares, BlockModel.AllSharedBytes, test.Config)!.Set(ref parameters, keyValueHeads);
                parameters.Ring.Groups = groups;
                kernel.Run(parameters, threads: 288, x: parameters.Shares, sharedBytes: parameters.Ring.SharedBytes, first: 2 * run);
            }
        }

        test.Check();
    }

    /// <summary>The ring's end lies beyond what the launch has: the model says so, as a device would.</summary>
    [Fact]
    public void A_launch_with_too_little_shared_memory_is_refused()
    {
        var test = new Case(32, 4, 2, 64, window: 0, begins: false, [64]);
        var kernel = new BlockModel<ModelKernels.AttentionLayerParameters>("gpt_oss_attention_layer.cu", "moe_attention_layer<32>", "AttentionLayerParameters");
        ModelKernels.AttentionLayerParameters parameters = test.Begin();
        AttentionLayerPlan.TryCreate(12, BlockModel.AllSharedBytes, test.Config)!.Set(ref parameters, keyValueHeads: 2);
        kernel.Run(parameters, threads: 288, x: parameters.Shares, sharedBytes: parameters.Ring.Begin + parameters.Ring.Stride);
        Assert.Contains("beyond the launch's shared memory", Assert.ThrowsAny<Exception>(kernel.Dispose).Message, StringComparison.Ordinal);
    }

    private sealed class Case
    {
        private readonly int _size;
        private readonly int _heads;
        private readonly int _hidden;
        private readonly int _window;
        private readonly bool _begins;
        private readonly int[] _positions;
        private readonly PagedCache _cache;
        private readonly DeviceToken[] _tokens;
        private readonly ushort[] _weight;
        private readonly ushort[] _outputWeight;
        private readonly ushort[] _added;
        private readonly float[] _bias;
        private readonly float[] _outputBias;
        private readonly float[] _before;
        private readonly float[] _stream;
        private readonly float[] _firstNorm;
        private readonly float[] _secondNorm;
        private readonly float[] _rotary;
        private readonly float[] _sinks;
        private readonly float[] _partial;
        private readonly ushort[] _queries;
        private readonly ushort[] _attended;
        private readonly ushort[] _normed;
        private readonly int[] _arrived;
        private readonly int[] _counters = Pinned.Make<int>(AttentionLayerPlan.CounterWords);

        public Case(int size, int heads, int keyValueHeads, int hidden, int window, bool begins, int[] positions)
        {
            var random = new Random(hidden);
            (_size, _heads, _hidden, _window, _begins, _positions) = (size, heads, hidden, window, begins, positions);
            int tokens = positions.Length, outputs = (heads + (2 * keyValueHeads)) * size;
            Config = GptOssConfig.GptOss20B with
            {
                HiddenSize = hidden,
                HeadSize = size,
                HeadCount = heads,
                KeyValueHeadCount = keyValueHeads,
            };
            _cache = new PagedCache(heads, keyValueHeads, size, layers: 2, tokens, Positions);
            for (int text = 0; text < tokens; text++)
            {
                _cache.Fill(Layer, text, positions[text], random);
            }

            double range = 2 / Math.Sqrt(hidden);
            _tokens = Pinned.Make(tokens, i => _cache.Token(i, positions[i]) with { Id = 7 - i });
            _weight = Pinned.Brain(outputs * hidden, random, range);
            _outputWeight = Pinned.Brain(hidden * heads * size, random);
            _added = Pinned.Brain(10 * hidden, random);
            _bias = Pinned.Singles(outputs, random);
            _outputBias = Pinned.Singles(hidden, random);
            _before = Pinned.Singles(tokens * hidden, random, range: 3);
            _stream = Pinned.Make<float>(tokens * hidden);
            _firstNorm = Pinned.Singles(hidden, random);
            _secondNorm = Pinned.Singles(hidden, random);
            _rotary = Pinned.Make(Positions * size, i => (float)(i % 2 == 0 ? Math.Cos(i / 2) : Math.Sin(i / 2)));
            _sinks = Pinned.Singles(heads, random, range: 3);
            _partial = Pinned.Make(tokens * keyValueHeads * 32 * 16 * (size + 2), _ => float.NaN);
            _queries = Pinned.Make<ushort>(tokens * heads * size);
            _attended = Pinned.Make<ushort>(tokens * heads * size);
            _normed = Pinned.Make<ushort>(tokens * hidden);
            _arrived = Pinned.Make<int>(tokens * keyValueHeads);
        }

        public GptOssConfig Config { get; }

        public ModelKernels.AttentionLayerParameters Begin()
        {
            Array.Copy(_before, _stream, _before.Length);
            Array.Clear(_normed);
            ModelKernels.CacheParameters cache = _cache.Layer(Layer);
            return new()
            {
                First = new ModelKernels.QueryKeyValueParameters
                {
                    Product = Product(_weight, [], _weight.Length / _hidden, _hidden, _size / 2),
                    Bias = Pinned.Address(_bias),
                    Tokens = Pinned.Address(_tokens),
                    Rotary = Pinned.Address(_rotary),
                    Queries = Pinned.Address(_queries),
                    Cache = cache,
                    Heads = _heads,
                },
                NormedFirst = new ModelKernels.NormedParameters
                {
                    Stream = Pinned.Address(_stream),
                    Added = Pinned.Address(_added),
                    Weight = Pinned.Address(_firstNorm),
                    Begins = _begins ? Pinned.Address(_tokens) : 0,
                    Epsilon = Epsilon,
                },
                Attention = new ModelKernels.AttentionParameters
                {
                    Queries = Pinned.Address(_queries),
                    Tokens = Pinned.Address(_tokens),
                    Sinks = Pinned.Address(_sinks),
                    Out = Pinned.Address(_attended),
                    Partial = Pinned.Address(_partial),
                    Arrived = Pinned.Address(_arrived),
                    Cache = cache,
                    Heads = _heads,
                    Window = _window,
                    Scale = (float)(Math.Log2(Math.E) / Math.Sqrt(_size)),
                },
                Output = Product(_outputWeight, _attended, _hidden, _heads * _size, 8),
                OutputBias = Pinned.Address(_outputBias),
                Stream = Pinned.Address(_stream),
                Norm = Pinned.Address(_secondNorm),
                Normed = Pinned.Address(_normed),
                Counters = Pinned.Address(_counters),
            };
        }

        public void Check()
        {
            Assert.All(_counters, count => Assert.Equal(0, count));
            Assert.All(_arrived, count => Assert.Equal(0, count));
            for (int token = 0; token < _positions.Length; token++)
            {
                double[] residual = [.. Enumerable.Range(0, _hidden).Select(i =>
                    (_begins ? 0.0 : _before[(token * _hidden) + i]) + Single(_added[((_begins ? 7 - token : token) * _hidden) + i]))];
                CheckQueries(token, Normed(residual, _firstNorm));
                double[] attended = Attended(token);
                for (int i = 0; i < attended.Length; i++)
                {
                    Assert.Equal(attended[i], Single(_attended[(token * attended.Length) + i]), 1e-2);
                }

                double[] after = [.. residual.Select((value, i) => value + _outputBias[i] + Dot(_outputWeight, i, Row(_attended, token, _heads * _size)))];
                double[] normed = Normed(after, _secondNorm);
                for (int i = 0; i < _hidden; i++)
                {
                    Assert.Equal(after[i], _stream[(token * _hidden) + i], 2e-3);
                    Assert.Equal(normed[i], Single(_normed[(token * _hidden) + i]), (Math.Abs(normed[i]) / 128) + 1e-3);
                }
            }
        }

        /// <summary>Queries, and the newest key and value.</summary>
        private void CheckQueries(int token, double[] row)
        {
            int position = _positions[token], half = _size / 2;
            for (int output = 0; output < _bias.Length; output++)
            {
                int head = output / _size, i = output % _size, partner = i < half ? output + half : output - half;
                double own = Dot(_weight, output, row) + _bias[output], other = Dot(_weight, partner, row) + _bias[partner];
                double cosine = _rotary[(position * _size) + (i % half * 2)], sine = _rotary[(position * _size) + (i % half * 2) + 1];
                double turned = (own * cosine) + (i < half ? -other * sine : other * sine);
                int key = head - _heads, value = key - (_heads / _cache.GroupSize);
                double found = key < 0 ? Single(_queries[(token * _heads * _size) + output])
                    : value < 0 ? _cache.Key(Layer, token, key, position, i)
                    : _cache.Value(Layer, token, value, position, i);
                Assert.Equal(value < 0 ? turned : own, found, 3e-2);
            }
        }

        /// <summary>Of the queries, keys and values that there are.</summary>
        private double[] Attended(int token) =>
        [
            .. Enumerable.Range(0, _heads).SelectMany(head =>
                _cache.Attend(Layer, token, _positions[token], _window, head, _queries.AsSpan(((token * _heads) + head) * _size, _size), _sinks[head])),
        ];

        private ProductKernels.Parameters Product(ushort[] weight, ushort[] rows, int outputs, int inputs, int half) => new()
        {
            Weight = Pinned.Address(weight),
            Rows = rows.Length == 0 ? 0 : Pinned.Address(rows),
            Outputs = outputs,
            Inputs = inputs,
            Tokens = _positions.Length,
            Half = half,
        };

        private static double[] Normed(double[] row, float[] weight)
        {
            double factor = 1 / Math.Sqrt((row.Sum(value => value * value) / row.Length) + Epsilon);
            return [.. row.Select((value, i) => value * factor * weight[i])];
        }

        private static double[] Row(ushort[] rows, int row, int width) => [.. rows.Skip(row * width).Take(width).Select(bits => (double)Single(bits))];

        private static double Dot(ushort[] weight, int output, double[] row) => row.Select((value, i) => value * Single(weight[(output * row.Length) + i])).Sum();

        private static float Single(ushort bits) => BFloat16.ToSingle(bits);
    }
}
