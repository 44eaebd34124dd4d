namespace Moe.Plugins.GptOss.Tests;

/// <summary>Loads models with the Cpu backend from the folder beside the tests, as any program has it.</summary>
internal static class Models
{
    /// <summary>What float32 may be away from float64.</summary>
    public const double Float32Error = 1e-4;

    /// <summary>One for all tests that have no settings of their own.</summary>
    public static MoeHost Host { get; } = MoeHost.Create(new MoeOptions { Backend = "Cpu" });

    public static GptOssModel Load(Action<GptOssOptions>? configure = null)
    {
        var options = new GptOssOptions { Model = Golden.Folder, MaxContext = 1024 };
        configure?.Invoke(options);
        return GptOssModel.Load(Host, options, cancellationToken: TestContext.Current.CancellationToken);
    }

    /// <summary>Logits after each token of a text that is read in pieces of the given sizes.</summary>
    public static float[] AllLogits(GptOssModel model, int[] text, params int[] pieces)
    {
        using GptOssSequence sequence = model.CreateSequence();
        int vocabulary = model.Config.VocabularySize;
        float[] logits = new float[text.Length * vocabulary];
        int first = 0;
        foreach (int count in pieces.Length == 0 ? [text.Length] : pieces)
        {
            var input = new GptOssInput { Sequence = sequence, Tokens = text.AsMemory(first, count), WantsAllLogits = true };
            model.ForwardBatch([input], logits.AsSpan(first * vocabulary, count * vocabulary), TestContext.Current.CancellationToken);
            first += count;
        }

        Assert.Equal(text.Length, first);
        return logits;
    }

    /// <summary>‖a − b‖ / ‖b‖ of each row, the largest.</summary>
    public static double WorstRow(ReadOnlySpan<float> found, ReadOnlySpan<float> expected, int width)
    {
        Assert.Equal(expected.Length, found.Length);
        double worst = 0;
        for (int first = 0; first < expected.Length; first += width)
        {
            double difference = 0, norm = 0;
            for (int i = first; i < first + width; i++)
            {
                difference += Math.Pow(found[i] - expected[i], 2);
                norm += Math.Pow(expected[i], 2);
            }

            // A NaN is further away than anything.
            double error = Math.Sqrt(difference / norm);
            worst = error <= worst ? worst : error;
        }

        return worst;
    }

    public static int Best(ReadOnlySpan<float> logits) => System.Numerics.Tensors.TensorPrimitives.IndexOfMax(logits);
}
