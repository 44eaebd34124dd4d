namespace Moe.Plugins.Conformance;

internal sealed class PartsSumUpRule() : ConformanceRule(
    "parts-sum-up",
    "The parts of a layer that is cut by tensor or by expert, as far as the backend runs them, sum up to the layer's result; a token that has none of a part's experts adds zeros to it, and harms no other where its row is NaN.")
{
    private const int Tokens = 13;

    internal override void Check(RuleRun run)
    {
        bool hasAny = false;
        foreach (MoeLayerShape shape in run.Shapes(shape => shape.Latent is null))
        {
            foreach ((int tensor, int expert) in new[] { (2, 1), (1, 2), (2, 2) })
            {
                hasAny |= CheckParts(run, shape, tensor, expert);
            }
        }

        if (!hasAny)
        {
            run.NotSupported("the backend runs no part of a layer");
        }
    }

    private static bool CheckParts(RuleRun run, MoeLayerShape shape, int tensor, int expert)
    {
        int ranks = tensor * expert;
        using MoeBuffer input = RandomInput.Create(Tokens, shape.HiddenSize, run.Subject.Seed);
        double[] sum = new double[Tokens * shape.HiddenSize];
        OracleResult? oracle = null;
        double promised = 0;
        for (int rank = 0; rank < ranks; rank++)
        {
            var options = new MoeLayerOptions { MaxTokens = KitShapes.MaxTokens, Part = MoePart.OfRank(rank, tensor, expert) };
            if (!CanRun(run, shape, options.Part))
            {
                return false;
            }

            using LayerUnderTest layer = run.Make(shape, options);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            using ForwardResult result = run.Forward(layer, workspace, input);
            float[] part = result.Output.ToSingles();
            if (expert > 1 && shape.Shared is null)
            {
                bool[] isHere = HasExperts(result.Ids, shape.Slice(options.Part));
                using MoeBuffer partly = Spoil(input, isHere);
                using ForwardResult again = run.Forward(layer, workspace, partly, new ForwardOptions { Ids = result.Ids, Weights = result.Weights });

                // What is made of rows that did not come is nobody's; of those that did it is zeros.
                part = [.. again.Output.ToSingles().Select((value, i) => isHere[i / shape.HiddenSize] ? value : part[i])];
            }

            for (int i = 0; i < part.Length; i++)
            {
                sum[i] += part[i];
            }

            // Ties go the same way on all ranks: each routes by itself.
            oracle ??= layer.Oracle(input, new OracleOptions { TopKIds = result.Ids.View }, shape, run.CancellationToken);
            promised = layer.Method.Numerics.RelativeError * Math.Sqrt(ranks);
        }

        using MoeBuffer total = MoeBuffer.OnHost(MoeElementType.Float32, Tokens, shape.HiddenSize);
        total.CopyFrom((ReadOnlySpan<float>)[.. sum.Select(value => (float)value)]);
        double error = TensorDifference.Measure(total.View, oracle!).RelativeError;
        if (!(error <= promised))
        {
            run.Fail($"a relative error of at most {promised:0.0e0} of the sum of {ranks} parts, {tensor} by tensor and {expert} by expert", $"{error:0.0e0}");
        }

        return true;
    }

    private static unsafe bool[] HasExperts(MoeBuffer ids, MoeLayerShape part)
    {
        var has = new bool[ids.View.Rows];
        for (int token = 0; token < has.Length; token++)
        {
            foreach (int id in new ReadOnlySpan<int>((void*)ids.View.RowAddress(token), ids.View.Columns))
            {
                has[token] |= id >= part.FirstExpert && id < part.FirstExpert + part.LocalExpertCount;
            }
        }

        return has;
    }

    private static MoeBuffer Spoil(MoeBuffer input, bool[] isHere)
    {
        MoeBuffer spoiled = MoeBuffer.OnHost(input.View.ElementType, input.View.Rows, input.View.Columns);
        spoiled.CopyFrom((ReadOnlySpan<float>)[.. input.ToSingles().Select((value, i) => isHere[i / input.View.Columns] ? value : float.NaN)]);
        return spoiled;
    }

    private static bool CanRun(RuleRun run, MoeLayerShape shape, MoePart part)
    {
        try
        {
            return run.Subject.Backend.Probe(new MoeProbeRequest { Shape = shape.Slice(part), Device = run.Subject.Device }).IsSupported;
        }
        catch (MoeException)
        {
            // Too small to be cut.
            return false;
        }
    }
}
