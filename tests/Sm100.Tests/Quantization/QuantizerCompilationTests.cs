using Moe.Plugins.Cuda;

namespace Moe.Plugins.Sm100.Tests;

public sealed class QuantizerCompilationTests
{
    [Theory]
    [InlineData(8, 0)]
    [InlineData(8, 9)]
    [InlineData(9, 0)]
    [InlineData(10, 0)]
    [InlineData(10, 3)]
    [InlineData(12, 0)]
    public void It_compiles_for_every_device_without_a_spill(int major, int minor)
    {
        KernelImage image = CompiledUnit.Compile(Mxfp8Quantizer.Unit, major, minor);

        Assert.Equal(["mxfp8_quantize", "mxfp8_quantize_unaligned", "mxfp8_round"], image.Reports.Select(report => report.Name).Order());
        Assert.All(image.Reports, report => Assert.Equal((0, 0), (report.SpillStoreBytes, report.SharedBytes)));

        // Eight blocks of 256 threads a multiprocessor, for enough loads under way.
        Assert.All(image.Reports, report => Assert.InRange(report.Registers, 1, 64));
    }
}
