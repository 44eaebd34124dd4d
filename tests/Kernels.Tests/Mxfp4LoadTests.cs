namespace Moe.Plugins.Kernels.Tests;

/// <summary>The loading kernels on a model of their thread blocks: what they pack unpacks to the same bits.</summary>
public sealed class Mxfp4LoadTests
{
    /// <summary>Scales from 121 on need no factors; from 200 on every row has one of its own.</summary>
    [Theory]
    [InlineData(64, 96, true, 121)]
    [InlineData(96, 32, false, 121)]
    [InlineData(48, 160, false, 200)]
    [InlineData(32, 672, true, 118)]
    public void Packed_weights_unpack_to_the_checkpoints_bits(int rows, int depth, bool isGateUp, int lowestScale)
    {
        PackedMatrix matrix = PackedMatrix.Random(1, rows, depth, isGateUp, lowestScale);
        byte[] codes = new byte[matrix.Codes.Length];
        byte[] scales = new byte[matrix.Scales.Length];

        Mxfp4Layout.Unpack(matrix.Groups, matrix.Factors, codes, scales, rows, depth, isGateUp);

        Assert.Equal(matrix.Codes, codes);
        Assert.Equal(matrix.Scales, scales);
        Assert.All(matrix.Factors, factor => Assert.Equal(lowestScale < 122, factor == 1));
    }
}
