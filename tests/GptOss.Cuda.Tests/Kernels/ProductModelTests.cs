using Moe.Plugins.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>The products of a step on a model of a thread block, against float64.</summary>
public sealed class ProductModelTests
{
    private const int Threads = 256;
    private const float Untouched = -7777;

    /// <summary>Outputs and inputs that end within a unit and within a step.</summary>
    [Theory]
    [InlineData(1, 1, 40, 328)]
    [InlineData(1, 8, 104, 1096)]
    [InlineData(2, 11, 40, 2088)]
    [InlineData(4, 32, 72, 328)]
    public void What_is_added_to_the_stream_is_the_product_and_its_bias(int tiles, int tokens, int outputs, int inputs)
    {
        var random = new Random(outputs + tokens);
        ushort[] weight = Pinned.Brain(outputs * inputs, random), rows = Pinned.Brain(tokens * inputs, random);
        float[] bias = Pinned.Singles(outputs, random), before = Pinned.Singles(tokens * outputs, random);
        float[] stream = Pinned.Make((tokens + 1) * outputs, i => i < before.Length ? before[i] : Untouched);
        using (var kernel = new BlockModel<ModelKernels.AddProductParameters>("gpt_oss_projections.cu", $"moe_add_product<{tiles}>", "AddProductParameters"))
        {
            var parameters = new ModelKernels.AddProductParameters
            {
                Product = Product(weight, rows, outputs, inputs, tokens, half: 8),
                Bias = Pinned.Address(bias),
                Stream = Pinned.Address(stream),
            };
            kernel.Run(parameters, Threads, x: 2);
        }

        for (int i = 0; i < before.Length; i++)
        {
            double expected = before[i] + bias[i % outputs] + Dot(weight, i % outputs, rows, i / outputs, inputs);
            Assert.Equal(expected, stream[i], 2e-3);
        }

        Assert.All(stream[before.Length..], value => Assert.Equal(Untouched, value));
    }

    /// <summary>Of one rank with the bias and another one without, computed here and elsewhere.</summary>
    [Theory]
    [InlineData("moe_part_product<1>", 8, 40, 328, true)]
    [InlineData("moe_part_product<1>", 1, 104, 136, false)]
    [InlineData("moe_part_product<2>", 11, 40, 328, false)]
    [InlineData("moe_part_product<4>", 30, 72, 328, true)]
    [InlineData("moe_keep_part", 3, 1096, 40, true)]
    [InlineData("moe_keep_part", 2, 40, 328, false)]
    public void A_part_of_a_sum_is_the_product_and_its_bias(string entry, int tokens, int outputs, int inputs, bool hasBias)
    {
        var random = new Random(outputs + tokens);
        ushort[] weight = Pinned.Brain(outputs * inputs, random), rows = Pinned.Brain(tokens * inputs, random);
        float[] bias = Pinned.Singles(outputs, random);
        float[] projected = Pinned.Make(tokens * outputs, i => (float)Dot(weight, i % outputs, rows, i / outputs, inputs));
        ushort[] part = Pinned.Make<ushort>((tokens + 1) * outputs);
        using (var kernel = new BlockModel<ModelKernels.PartParameters>("gpt_oss_projections.cu", entry, "PartParameters"))
        {
            var parameters = new ModelKernels.PartParameters
            {
                Product = Product(weight, rows, outputs, inputs, tokens, half: 8),
                Projected = Pinned.Address(projected),
                Bias = hasBias ? Pinned.Address(bias) : 0,
                Part = Pinned.Address(part),
            };
            kernel.Run(parameters, Threads, entry == "moe_keep_part" ? tokens : 2);
        }

        for (int i = 0; i < tokens * outputs; i++)
        {
            double expected = (hasBias ? bias[i % outputs] : 0) + Dot(weight, i % outputs, rows, i / outputs, inputs);
            Assert.Equal(expected, BFloat16.ToSingle(part[i]), (Math.Abs(expected) / 200) + 2e-3);
        }

        Assert.All(part[(tokens * outputs)..], value => Assert.Equal(0, value));
    }

    [Fact]
    public void A_part_of_the_embedding_has_the_ranks_rows_and_nothing_of_others()
    {
        const int First = 32, Count = 64, Width = 1096;
        ushort[] embedding = Pinned.Brain(Count * Width, new Random(3));
        int[] ids = [First - 1, First, First + Count - 1, First + Count, 0];
        DeviceToken[] tokens = Pinned.Make(ids.Length, i => new DeviceToken(0, ids[i], Position: i));
        ushort[] part = Pinned.Make<ushort>(ids.Length * Width, _ => 0x7FC0);
        using (var kernel = new BlockModel<ModelKernels.EmbeddingParameters>("gpt_oss_embedding.cu", "moe_embed_part", "EmbeddingParameters"))
        {
            var parameters = new ModelKernels.EmbeddingParameters
            {
                Embedding = Pinned.Address(embedding),
                Tokens = Pinned.Address(tokens),
                Part = Pinned.Address(part),
                First = First,
                Count = Count,
                Width = Width,
            };
            kernel.Run(parameters, Threads, tokens.Length);
        }

        ushort[] nothing = new ushort[Width];
        ushort[][] expected = [nothing, embedding[..Width], embedding[((Count - 1) * Width)..], nothing, nothing];
        Assert.Equal(expected, part.Chunk(Width));
    }

    [Theory]
    [InlineData(32, 1, "moe_query_key_value<1>")]
    [InlineData(64, 3, "moe_query_key_value<1>")]
    [InlineData(64, 3, "moe_keep_query_key_value")]
    public void Queries_keys_and_values_are_rotated_and_kept(int size, int tokens, string entry)
    {
        const int Heads = 4, KeyValueHeads = 2, Inputs = 136, Layer = 1;
        int outputs = (Heads + (2 * KeyValueHeads)) * size, half = size / 2;
        var random = new Random(size + tokens);
        ushort[] weight = Pinned.Brain(outputs * Inputs, random), rows = Pinned.Brain(tokens * Inputs, random);
        float[] bias = Pinned.Singles(outputs, random);
        var cache = new PagedCache(Heads, KeyValueHeads, size, layers: 2, tokens, positions: 200);
        DeviceToken[] batch = Pinned.Make(tokens, i => cache.Token(text: i, position: 61 + (7 * i)));
        float[] rotary = Pinned.Singles(200 * size, random);
        float[] projected = Pinned.Make(tokens * outputs, i => (float)Dot(weight, i % outputs, rows, i / outputs, Inputs));
        ushort[] queries = Pinned.Make<ushort>(tokens * Heads * size);
        using (var kernel = new BlockModel<ModelKernels.QueryKeyValueParameters>("gpt_oss_projections.cu", entry, "QueryKeyValueParameters"))
        {
            var parameters = new ModelKernels.QueryKeyValueParameters
            {
                Product = Product(weight, rows, outputs, Inputs, tokens, half),
                Projected = Pinned.Address(projected),
                Bias = Pinned.Address(bias),
                Tokens = Pinned.Address(batch),
                Rotary = Pinned.Address(rotary),
                Queries = Pinned.Address(queries),
                Cache = cache.Layer(Layer),
                Heads = Heads,
            };
            kernel.Run(parameters, Threads, x: tokens);
        }

        for (int token = 0; token < tokens; token++)
        {
            for (int output = 0; output < outputs; output++)
            {
                int head = output / size, i = output % size, position = batch[token].Position;
                double own = projected[(token * outputs) + output] + bias[output];
                int partner = i < half ? output + half : output - half;
                double other = projected[(token * outputs) + partner] + bias[partner];
                double cosine = rotary[(position * size) + (i % half * 2)], sine = rotary[(position * size) + (i % half * 2) + 1];
                double turned = (own * cosine) + (i < half ? -other * sine : other * sine);
                double found = head < Heads ? BFloat16.ToSingle(queries[(token * Heads * size) + output])
                    : head < Heads + KeyValueHeads ? cache.Key(Layer, token, head - Heads, position, i)
                    : cache.Value(Layer, token, head - Heads - KeyValueHeads, position, i);
                double expected = head < Heads + KeyValueHeads ? turned : own;
                Assert.Equal(expected, found, (Math.Abs(expected) / 128) + 2e-3);
            }
        }

        Assert.Equal(tokens * 2 * KeyValueHeads * size, cache.WrittenCount);
    }

    /// <summary>Rows of less and of more than the threads ask for at once; the begin of the stream, and its middle; groups of less than 8 outputs.</summary>
    [Theory]
    [InlineData(1, 96, 100, true)]
    [InlineData(2, 4128, 37, false)]
    public void A_head_that_norms_its_rows_is_that_of_normed_rows(int tokens, int inputs, int vocabulary, bool begins)
    {
        const int Blocks = 2;
        var random = new Random(inputs);
        ushort[] weight = Pinned.Brain(vocabulary * inputs, random), added = Pinned.Brain(10 * inputs, random);
        float[] stream = Pinned.Singles(tokens * inputs, random, range: 3), norm = Pinned.Singles(inputs, random);
        DeviceToken[] batch = Pinned.Make(tokens, i => new DeviceToken(0, 7 - i, 0));
        double[][] logits = [.. Enumerable.Range(0, tokens).Select(token =>
        {
            double[] row = [.. Enumerable.Range(0, inputs).Select(i =>
                (begins ? 0.0 : stream[(token * inputs) + i]) + BFloat16.ToSingle(added[((begins ? batch[token].Id : token) * inputs) + i]))];
            double factor = 1 / Math.Sqrt((row.Sum(value => value * value) / inputs) + 1e-5);
            return Enumerable.Range(0, vocabulary)
                .Select(output => Enumerable.Range(0, inputs).Sum(i => row[i] * factor * norm[i] * BFloat16.ToSingle(weight[(output * inputs) + i])))
                .ToArray();
        })];
        int banned = Array.IndexOf(logits[0], logits[0].Max());
        uint[] bits = Pinned.Make<uint>((vocabulary + 31) / 32);
        bits[banned / 32] |= 1u << (banned % 32);
        int[] wants = Pinned.Make(1, _ => 1);
        float[] found = Pinned.Make((tokens + 1) * vocabulary, _ => Untouched);
        long[] candidates = Pinned.Make<long>(tokens * Blocks);
        using (var kernel = new BlockModel<ModelKernels.NormHeadParameters>("gpt_oss_norm_head.cu", "moe_norm_head", "NormHeadParameters"))
        {
            var parameters = new ModelKernels.NormHeadParameters
            {
                Head = new ModelKernels.HeadParameters
                {
                    Product = Product(weight, [], vocabulary, inputs, tokens, half: 8),
                    Logits = Pinned.Address(found),
                    WantsLogits = Pinned.Address(wants),
                    Banned = Pinned.Address(bits),
                    Candidates = Pinned.Address(candidates),
                },
                Normed = new ModelKernels.NormedParameters
                {
                    Stream = Pinned.Address(stream),
                    Added = Pinned.Address(added),
                    Weight = Pinned.Address(norm),
                    Begins = begins ? Pinned.Address(batch) : 0,
                    Epsilon = 1e-5f,
                },
                Ring = WeightRing.OfHead(sharedBytes: 232448, GptOssConfig.GptOss20B with { HiddenSize = inputs }),
            };
            kernel.Run(parameters, threads: 288, Blocks);
        }

        for (int token = 0; token < tokens; token++)
        {
            double best = logits[token].Where((_, id) => id != banned).Max();
            int chosen = (int)(candidates[(token * Blocks)..((token + 1) * Blocks)].MaxBy(one => BitConverter.Int32BitsToSingle((int)one)) >> 32);
            Assert.NotEqual(banned, chosen);
            Assert.Equal(best, logits[token][chosen], 2e-2 * Math.Sqrt(inputs) / 8);
            for (int id = 0; id < vocabulary; id++)
            {
                Assert.Equal(logits[token][id], found[(token * vocabulary) + id], (Math.Abs(logits[token][id]) / 128) + (2e-3 * Math.Sqrt(inputs)));
            }
        }

        Assert.All(found[(tokens * vocabulary)..], value => Assert.Equal(Untouched, value));
    }

    [Theory]
    [InlineData(1, 3, true)]
    [InlineData(2, 13, false)]
    [InlineData(4, 29, true)]
    public void The_likeliest_token_is_found_and_banned_ones_are_not(int tiles, int tokens, bool wantsLogits)
    {
        const int Vocabulary = 1000, Inputs = 72, Blocks = 3;
        var random = new Random(tokens);
        ushort[] weight = Pinned.Brain(Vocabulary * Inputs, random), rows = Pinned.Brain(tokens * Inputs, random);

        // The last token's logits are no numbers; two rows of the head are equal.
        Array.Fill(rows, (ushort)0x7FC0, (tokens - 1) * Inputs, Inputs);
        weight.AsSpan(5 * Inputs, Inputs).CopyTo(weight.AsSpan(900 * Inputs));
        double[][] logits = [.. Enumerable.Range(0, tokens).Select(token => Enumerable.Range(0, Vocabulary).Select(id => Dot(weight, id, rows, token, Inputs)).ToArray())];
        int[] banned = [.. Enumerable.Range(0, tokens - 2).Select(token => Array.IndexOf(logits[token], logits[token].Max()))];
        uint[] bits = Pinned.Make<uint>((Vocabulary + 31) / 32);
        Array.ForEach(banned, id => bits[id / 32] |= 1u << (id % 32));
        int[] wants = Pinned.Make(1, _ => wantsLogits ? 1 : 0);
        float[] found = Pinned.Make(tokens * Vocabulary, _ => Untouched);
        long[] candidates = Pinned.Make<long>(tokens * Blocks);
        DeviceCandidate[] best = Pinned.Make<DeviceCandidate>(tokens);
        using (var kernel = new BlockModel<ModelKernels.HeadParameters>("gpt_oss_head.cu", $"moe_head<{tiles}>", "HeadParameters"))
        {
            var parameters = new ModelKernels.HeadParameters
            {
                Product = Product(weight, rows, Vocabulary, Inputs, tokens, half: 8),
                Logits = Pinned.Address(found),
                WantsLogits = Pinned.Address(wants),
                Banned = Pinned.Address(bits),
                Candidates = Pinned.Address(candidates),
            };
            kernel.Run(parameters, Threads, Blocks);
        }

        using (var kernel = new BlockModel<ModelKernels.ChooseParameters>("gpt_oss_choose.cu", "moe_choose", "ChooseParameters"))
        {
            DeviceDraw[] draws = Pinned.Make<DeviceDraw>(tokens);
            var parameters = new ModelKernels.ChooseParameters
            {
                Candidates = Pinned.Address(candidates),
                Draws = Pinned.Address(draws),
                Chosen = Pinned.Address(best),
                Count = Blocks,
                RowStride = Blocks,
                Stride = 1,
            };
            kernel.Run(parameters, threads: 1024, tokens);
        }

        int[] chosen = [.. best.Select(candidate => candidate.Id)];
        for (int token = 0; token < tokens - 1; token++)
        {
            double highest = Enumerable.Range(0, Vocabulary).Where(id => !banned.Contains(id)).Max(id => logits[token][id]);
            Assert.DoesNotContain(chosen[token], banned);
            Assert.Equal(highest, logits[token][chosen[token]], 1e-4);
            Assert.Equal(highest, best[token].Logit, 1e-3);
            for (int id = 0; id < Vocabulary; id++)
            {
                Assert.Equal(wantsLogits ? logits[token][id] : Untouched, found[(token * Vocabulary) + id], 1e-3);
            }
        }

        Assert.Equal(-1, chosen[^1]);
        Assert.DoesNotContain(900, chosen);
    }

    private static ProductKernels.Parameters Product(ushort[] weight, ushort[] rows, int outputs, int inputs, int tokens, int half) => new()
    {
        Weight = Pinned.Address(weight),
        Rows = rows.Length == 0 ? 0 : Pinned.Address(rows),
        Outputs = outputs,
        Inputs = inputs,
        Tokens = tokens,
        Half = half,
    };

    private static double Dot(ushort[] weight, int output, ushort[] rows, int row, int inputs)
    {
        double sum = 0;
        for (int i = 0; i < inputs; i++)
        {
            sum += (double)BFloat16.ToSingle(weight[(output * inputs) + i]) * BFloat16.ToSingle(rows[(row * inputs) + i]);
        }

        return sum;
    }
}
