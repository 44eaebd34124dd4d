using Moe.Plugins.Checkpoints;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>The backend against vectors that were computed outside of this project.</summary>
public sealed class GoldenTests : IDisposable
{
    private readonly List<MoeBuffer> _buffers = [];

    public static TheoryData<string> Names =>
        [.. Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "golden"), "*.safetensors").Select(file => Path.GetFileNameWithoutExtension(file)).Order()];

    [Theory]
    [MemberData(nameof(Names))]
    public void Float32_output_is_the_file_s(string name) => Check(name, MoeElementType.Float32, MoeElementType.Float32);

    [Theory]
    [MemberData(nameof(Names))]
    public void BF16_in_and_out_is_the_file_s_but_for_its_rounding(string name) => Check(name, MoeElementType.BFloat16, MoeElementType.BFloat16);

    [Fact]
    public void There_are_eight_files() => Assert.Equal(8, Names.Count);

    private void Check(string name, MoeElementType inputType, MoeElementType outputType)
    {
        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine(AppContext.BaseDirectory, "golden", $"{name}.safetensors"));
        CheckpointLayer loaded = checkpoint.MoeLayers[0];
        using var layer = new CpuLayer(loaded.Shape, loaded.Source, inputType, outputType);
        using CpuRun run = layer.Run(View(checkpoint, "input"));

        MoeTensorView expected = View(checkpoint, "expected.output");
        double error = TensorDifference.Measure(run.Output.View, expected).RelativeError;
        Assert.True(error < Tolerance.Of(outputType), $"The relative error is {error:g3}.");
        MoeTensorView ids = View(checkpoint, "expected.topk_ids");
        MoeTensorView weights = View(checkpoint, "expected.topk_weights");
        for (int token = 0; token < ids.Rows; token++)
        {
            Assert.Equal(Tensors.Row<int>(ids, token).ToArray(), run.Ids.Row<int>(token).ToArray());
            Assert.All(
                Tensors.Floats(weights, token).Zip(run.Weights.Row<float>(token).ToArray()),
                pair => Assert.Equal(pair.First, pair.Second, 1e-6f));
        }
    }

    public void Dispose() => _buffers.ForEach(buffer => buffer.Dispose());

    private MoeTensorView View(Checkpoint checkpoint, string name)
    {
        MoeBuffer buffer = checkpoint.ReadTensor(name);
        _buffers.Add(buffer);
        return buffer.View;
    }
}
