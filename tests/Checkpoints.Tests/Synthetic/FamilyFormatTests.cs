namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>Each family in each format: the numbers that come out are those that went in.</summary>
public sealed class FamilyFormatTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string, string> Pairs
    {
        get
        {
            var pairs = new TheoryData<string, string>();
            foreach (SyntheticFamily family in SyntheticFamily.All)
            {
                foreach (StoredFormat format in StoredFormat.All)
                {
                    pairs.Add(family.Name, format.Name);
                }
            }

            return pairs;
        }
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Weights_are_what_was_saved(string familyName, string formatName)
    {
        SyntheticFamily family = SyntheticFamily.All.Single(one => one.Name == familyName);
        StoredFormat format = StoredFormat.All.Single(one => one.Name == formatName);

        // Shared experts and projections are often not quantised where experts are.
        SyntheticModel model = family.Create(format, StoredFormat.All[0], out float[][][] expected);
        model.Save(_folder.Path);
        using var checkpoint = Checkpoint.Open(_folder.Path);
        CheckpointLayer layer = Assert.Single(checkpoint.MoeLayers);

        Assert.Equal(family.Layer, layer.Name);
        Assert.Equal(format.Format, layer.Shape.WeightFormat);
        Assert.Equal((4, 64, 32, family.Inputs), (layer.Shape.ExpertCount, layer.Shape.HiddenSize, layer.Shape.IntermediateSize, layer.Shape.ExpertHiddenSize));
        Assert.Equal(family.Shared.Length > 0, layer.Shape.Shared is { WeightFormat: MoeWeightFormat.BFloat16, IntermediateSize: 96 });
        Assert.Equal(family.Latent.Length > 0, layer.Shape.Latent is { Width: 32 });
        for (int expert = 0; expert < expected.Length; expert++)
        {
            CheckExpert(layer, expert, expected[expert]);
        }
    }

    [Theory]
    [InlineData("deepseek-v4", "native mxfp4", "fp8 e8m0")]
    [InlineData("deepseek-v3", "fp8 f32", "fp8 f32")]
    [InlineData("ling-3", "ling mxfp4", "fp8 f32")]
    [InlineData("nemotron-3", "modelopt nvfp4", "modelopt nvfp4")]
    public void Shared_experts_have_a_format_of_their_own(string familyName, string formatName, string sharedName)
    {
        SyntheticFamily family = SyntheticFamily.All.Single(one => one.Name == familyName);
        StoredFormat shared = StoredFormat.All.Single(one => one.Name == sharedName);
        SyntheticModel model = family.Create(StoredFormat.All.Single(one => one.Name == formatName), shared, out _);
        model.Save(_folder.Path);
        using var checkpoint = Checkpoint.Open(_folder.Path);
        Assert.Equal(shared.Format, Assert.Single(checkpoint.MoeLayers).Shape.Shared!.WeightFormat);
    }

    public void Dispose() => _folder.Dispose();

    private static void CheckExpert(CheckpointLayer layer, int expert, float[][] expected)
    {
        MoeLayerShape shape = layer.Shape;
        int inputs = shape.ExpertHiddenSize;
        float[] first = layer.GateUp().Singles(expert);
        float[] down = layer.Down().Singles(expert);
        Assert.Equal(expected[2], down);
        int step = shape.Activation.IsGated ? 2 : 1;
        for (int row = 0; row < shape.IntermediateSize; row++)
        {
            Assert.Equal(expected[1].AsSpan(row * inputs, inputs), first.AsSpan(((row * step) + step - 1) * inputs, inputs));
            if (step == 2)
            {
                Assert.Equal(expected[0].AsSpan(row * inputs, inputs), first.AsSpan(row * step * inputs, inputs));
            }
        }
    }
}
