namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>Drawing a token on a model of a thread block, on one device and over ranks, against the weights in float64.</summary>
public sealed class DrawModelTests
{
    private const double Tolerance = 1e-6;

    /// <summary>Few tokens and many, all of them likely and few, some of them banned; the ends of the draw, and beyond.</summary>
    [Theory]
    [InlineData(40, 1.0, 0.0)]
    [InlineData(5000, 1.0, 0.0)]
    [InlineData(5000, 0.5, 0.05)]
    [InlineData(70001, 2.0, 0.0)]
    public void A_token_is_drawn_where_the_number_lies(int vocabulary, double temperature, double minP)
    {
        var test = new Case(vocabulary, temperature, minP);
        test.Check(test.ChooseAlone());
    }

    /// <summary>
    /// Nuclei of one token, of few and of nearly all; more of them in a bucket than a list has; logits of which many are equal, so that ids decide; all of them equal.
    /// </summary>
    [Theory]
    [InlineData(40, 1.0, 0.0, 0.9, 0)]
    [InlineData(5000, 1.0, 0.0, 1e-9, 0)]
    [InlineData(5000, 0.5, 0.05, 0.5, 0)]
    [InlineData(9001, 1.0, 0.0, 0.999999, 0)]
    [InlineData(5000, 300.0, 0.0, 0.9, 0)]
    [InlineData(5000, 1.0, 0.0, 0.8, 3)]
    [InlineData(5000, 1.0, 0.0, 0.3, 1)]
    public void A_token_of_a_nucleus_is_drawn_where_the_number_lies(int vocabulary, double temperature, double minP, double topP, int levels)
    {
        var test = new Case(vocabulary, temperature, minP, topP, levels);
        test.Check(test.ChooseAlone());
    }

    /// <summary>Where the likeliest logit is infinite, or nothing is left that may come, there are no weights.</summary>
    [Theory]
    [InlineData(1.0, 1)]
    [InlineData(0.9, 1)]
    [InlineData(1.0, 4)]
    [InlineData(0.9, 4)]
    public void A_draw_of_infinite_logits_is_no_number(double topP, int ranks)
    {
        var test = new Case(128, temperature: 1, minP: 0, topP);
        test.Spoil(row: 2, token: 77, float.PositiveInfinity);
        int[] chosen = ranks == 1 ? test.ChooseAlone() : test.ChooseOver(ranks);
        Assert.Equal(-1, chosen[2]);
        Assert.Equal(1, chosen.Count(id => id < 0));
        test.Ban(0, 128);
        Assert.All(ranks == 1 ? test.ChooseAlone() : test.ChooseOver(ranks), id => Assert.Equal(-1, id));
    }

    /// <summary>
    /// Ranges that are whole shares of the vocabulary and others, the last one shorter; the logits of all texts gathered at once, and of few; nuclei whose tokens lie on all
    /// ranks, of logits that are equal too.
    /// </summary>
    [Theory]
    [InlineData(4096, 2, 1.0, 0.0, 1, 0, 2048)]
    [InlineData(4096, 4, 0.7, 0.05, 1, 0, 2048)]
    [InlineData(8192, 8, 1.0, 0.0, 1, 0, 2)]
    [InlineData(5000, 4, 1.0, 0.0, 1, 0, 1)]
    [InlineData(20001, 2, 2.0, 0.0, 1, 0, 20)]
    [InlineData(5000, 2, 1.0, 0.0, 1e-9, 0, 2048)]
    [InlineData(5000, 4, 0.5, 0.05, 0.5, 0, 3)]
    [InlineData(9001, 8, 1.0, 0.0, 0.999999, 0, 2048)]
    [InlineData(5000, 2, 300.0, 0.0, 0.9, 0, 2)]
    [InlineData(5000, 4, 1.0, 0.0, 0.8, 3, 2048)]
    [InlineData(5000, 4, 1.0, 0.0, 0.3, 1, 1)]
    public void Ranks_draw_the_token_of_one_device(int vocabulary, int ranks, double temperature, double minP, double topP, int levels, int groupRows)
    {
        var test = new Case(vocabulary, temperature, minP, topP, levels);
        int[] chosen = test.ChooseOver(ranks, groupRows);
        test.Check(chosen);
        Assert.Equal(test.ChooseAlone(), chosen);
    }

    /// <summary>A rank whose tokens are all banned, the likeliest token in place of a draw, and logits that are no numbers on one rank.</summary>
    [Fact]
    public void Ranks_choose_the_likeliest_and_say_what_is_no_number()
    {
        var test = new Case(4096, temperature: 0, minP: 0);
        test.Ban(1024, 1024);
        Assert.Equal(Enumerable.Range(0, test.Rows).Select(row => test.Likeliest(row, 0, 4096)), test.ChooseOver(ranks: 4));
        test.Spoil(row: 3, token: 3000);
        int[] chosen = test.ChooseOver(ranks: 4);
        Assert.Equal(-1, chosen[3]);
        Assert.DoesNotContain(-1, chosen[..3]);
    }

    private sealed class Case
    {
        private static readonly double[] Units = [0, 1e-4, 0.25, 0.5, 0.77, 0.9999, 0.99999999999999];

        private readonly int _vocabulary;
        private readonly double _temperature;
        private readonly double _least;
        private readonly double _topP;
        private readonly float[] _logits;
        private readonly uint[] _banned;
        private readonly DeviceDraw[] _draws;

        /// <param name="vocabulary">Tokens.</param>
        /// <param name="temperature">What logits are divided by.</param>
        /// <param name="minP">The weight that tokens in the draw have at least.</param>
        /// <param name="topP">The share of the weights in the draw.</param>
        /// <param name="levels">How many logits differ; 0 for all.</param>
        public Case(int vocabulary, double temperature, double minP, double topP = 1, int levels = 0)
        {
            (_vocabulary, _temperature, _least, _topP) = (vocabulary, temperature, Math.Max(minP, 1e-13), topP);
            _logits = Pinned.Singles(vocabulary * Rows, new Random(vocabulary), range: 8);
            for (int i = 0; i < _logits.Length && levels > 0; i++)
            {
                _logits[i] = i % levels;
            }

            _banned = Pinned.Make<uint>((vocabulary + 31) / 32);
            _draws = Pinned.Make(Rows, i => new DeviceDraw(Units[i], (float)temperature, (float)_least, topP));

            // The first and the last token, and the likeliest of the first row.
            Ban(0, 1);
            Ban(vocabulary - 1, 1);
            Ban(Array.IndexOf(_logits, _logits[..vocabulary].Max()), 1);
        }

        public int Rows => Units.Length;

        public void Ban(int first, int count)
        {
            for (int id = first; id < first + count; id++)
            {
                _banned[id / 32] |= 1u << (id % 32);
            }
        }

        public void Spoil(int row, int token, float logit = float.NaN) => _logits[(row * _vocabulary) + token] = logit;

        /// <summary>Of a range; −1 where one is no number.</summary>
        public int Likeliest(int row, int first, int count)
        {
            int[] range = [.. Enumerable.Range(first, count).Where(id => !IsBanned(id))];
            return range.Any(id => float.IsNaN(Logit(row, id))) ? -1 : range.Length == 0 ? int.MaxValue : range.MaxBy(id => Logit(row, id));
        }

        public int[] ChooseAlone()
        {
            long[] candidates = Pinned.Make(Rows, row => Candidate(row, 0, _vocabulary));
            DeviceCandidate[] found = Pinned.Make<DeviceCandidate>(Rows);
            Run(new ModelKernels.ChooseParameters
            {
                Candidates = Pinned.Address(candidates),
                Logits = new ModelKernels.LogitPieces { First = Pinned.Address(_logits), Tokens = _vocabulary, Vocabulary = _vocabulary },
                Banned = Pinned.Address(_banned),
                Draws = Pinned.Address(_draws),
                Chosen = Pinned.Address(found),
                Count = 1,
                RowStride = 1,
            }, Rows);
            GC.KeepAlive(candidates);
            return [.. found.Select(candidate => candidate.Id)];
        }

        /// <summary>As each rank does.</summary>
        public int[] ChooseOver(int ranks, int groupRows = 2048)
        {
            ModelShare[] shares = [.. Enumerable.Range(0, ranks).Select(rank => new ModelShare(GptOssConfig.GptOss20B with { VocabularySize = _vocabulary }, rank, ranks))];
            LogitGather[] gathers = [.. shares.Select(share => new LogitGather(share, groupRows))];
            float[][] logits = [.. shares.Select(LogitsOf)];
            DeviceCandidate[] likeliest = Pinned.Make<DeviceCandidate>(ranks * Rows), found = Pinned.Make<DeviceCandidate>(Rows);
            foreach (ModelShare share in shares)
            {
                long[] candidates = Pinned.Make(Rows, row => Candidate(row, share.FirstToken, share.Config.VocabularySize));
                Run(new ModelKernels.ChooseParameters
                {
                    Candidates = Pinned.Address(candidates),
                    Chosen = Pinned.Address(likeliest, share.Rank * Rows),
                    Count = 1,
                    RowStride = 1,
                    FirstToken = share.FirstToken,
                }, Rows);
                GC.KeepAlive(candidates);
            }

            for (int first = 0, texts; first < Rows; first += texts)
            {
                texts = Math.Min(gathers[0].TextsAtOnce, Rows - first);
                float[] gathered = [.. gathers.SelectMany((gather, rank) => logits[rank].AsSpan((int)gather.First(first), gather.Rows(texts) * gather.RowFloats).ToArray())];
                float[] all = Pinned.Make(gathered.Length, i => gathered[i]);
                Run(new ModelKernels.ChooseParameters
                {
                    Candidates = Pinned.Address(likeliest, first),
                    Logits = gathers[0].Pieces(Pinned.Address(all), texts),
                    Banned = Pinned.Address(_banned),
                    Draws = Pinned.Address(_draws, first),
                    Chosen = Pinned.Address(found, first),
                    Count = ranks,
                    RowStride = 1,
                    Stride = Rows,
                }, texts);
                GC.KeepAlive(all);
            }

            return [.. found.Select(candidate => candidate.Id)];
        }

        private static void Run(in ModelKernels.ChooseParameters parameters, int rows)
        {
            using var kernel = new BlockModel<ModelKernels.ChooseParameters>("gpt_oss_choose.cu", "moe_choose", "ChooseParameters");
            kernel.Run(parameters, threads: 1024, rows);
        }

        public void Check(int[] chosen)
        {
            for (int row = 0; row < Rows; row++)
            {
                double highest = Logit(row, Likeliest(row, 0, _vocabulary));
                double[] weights = [.. Enumerable.Range(0, _vocabulary).Select(id => IsBanned(id) ? 0 : Math.Exp((Logit(row, id) - highest) / _temperature))];
                (int[] order, double all) = InDraw(weights);
                double before = order.TakeWhile(id => id != chosen[row]).Sum(id => weights[id]);
                double own = weights[chosen[row]];
                Assert.True(own >= _least * (1 - Tolerance), $"{Units[row]}: {chosen[row]} has weight {own}");
                Assert.InRange(Units[row], (before / all) - Tolerance, ((before + own) / all) + Tolerance);
            }
        }

        /// <summary>What is in the draw, in its order, and the sum of its weights.</summary>
        private (int[] Order, double Sum) InDraw(double[] weights)
        {
            IEnumerable<int> likely = Enumerable.Range(0, _vocabulary).Where(id => weights[id] >= _least);
            if (_topP == 1)
            {
                return ([.. likely], likely.Sum(id => weights[id]));
            }

            int[] order = [.. likely.OrderByDescending(id => weights[id])];
            double enough = _topP * order.Sum(id => weights[id]), sum = 0;
            int count = order.TakeWhile(id =>
            {
                bool isIn = sum < enough;
                sum += isIn ? weights[id] : 0;
                return isIn;
            }).Count();
            return (order[..count], sum);
        }

        private float[] LogitsOf(ModelShare share)
        {
            int width = share.Config.VocabularySize;
            return Pinned.Make((int)LogitGather.OwnFloats(share), i => i < Rows * width ? Logit(i / width, share.FirstToken + (i % width)) : float.NaN);
        }

        /// <summary>The likeliest of a range, with an id of the range's own.</summary>
        private long Candidate(int row, int first, int count)
        {
            int best = Likeliest(row, first, count);
            (int id, float logit) = best switch
            {
                -1 => (-1, float.PositiveInfinity),
                int.MaxValue => (best, float.NegativeInfinity),
                _ => (best - first, Logit(row, best)),
            };
            return ((long)id << 32) | BitConverter.SingleToUInt32Bits(logit);
        }

        private float Logit(int row, int id) => _logits[(row * _vocabulary) + id];

        private bool IsBanned(int id) => ((_banned[id / 32] >> (id % 32)) & 1) != 0;
    }
}
