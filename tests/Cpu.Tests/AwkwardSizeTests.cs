namespace Moe.Plugins.Cpu.Tests;

/// <summary>Sizes at the edges of what the kernels work on at a time, in both formats and orders, against the oracle.</summary>
public sealed class AwkwardSizeTests
{
    [Theory]
    [InlineData(MoeWeightFormat.Mxfp4, MoeMatrixOrder.OutputMajor, 288, 352)]
    [InlineData(MoeWeightFormat.Mxfp4, MoeMatrixOrder.OutputMajor, 32, 32)]
    [InlineData(MoeWeightFormat.BFloat16, MoeMatrixOrder.OutputMajor, 7, 3)]
    [InlineData(MoeWeightFormat.BFloat16, MoeMatrixOrder.InputMajor, 7, 3)]
    [InlineData(MoeWeightFormat.BFloat16, MoeMatrixOrder.OutputMajor, 1, 1)]
    [InlineData(MoeWeightFormat.BFloat16, MoeMatrixOrder.InputMajor, 33, 17)]
    public void Awkward_sizes_are_the_oracle_s(MoeWeightFormat format, MoeMatrixOrder order, int hidden, int intermediate)
    {
        var shape = new MoeLayerShape { HiddenSize = hidden, IntermediateSize = intermediate, ExpertCount = 5, TopK = 3, WeightFormat = format };
        for (int tokens = 0; tokens <= 40; tokens += tokens < 5 ? 1 : 7)
        {
            ShapeTests.Check(shape, order, tokens, MoeElementType.Float32, MoeElementType.Float32, seed: tokens);
        }
    }
}
