namespace Moe.Plugins.Sm100.Tests;

public sealed class KernelCompilationTests
{
    [Theory]
    [InlineData("sm_80", "moe_mxfp4_mma_product1<Activation>")]
    [InlineData("sm_89", "mxfp8_round")]
    [InlineData("sm_90a", "moe_gather_mxfp8")]
    [InlineData("sm_90a", "moe_mxfp4_product1<32, 64, 3, 2, 5, 120, 72816, RoundMxfp8>")]
    [InlineData("sm_90a", "moe_mxfp4_fp8_product1<128, 2, 6, 232, 40, 222720>")]
    [InlineData("sm_100a", "moe_native_product1<112, 4, 7, 203920, 231616>")]
    [InlineData("sm_103a", "moe_native_load_scales")]
    [InlineData("sm_120a", "moe_mxfp4_mma_product2")]
    public void Every_kernel_compiles_without_a_spill(string architecture, string kernel)
    {
        var catalog = Assert.IsType<IMoeKernelCatalog>(Sm100.Host.Backend, exactMatch: false);
        IReadOnlyList<MoeKernelReport> reports = [];
        try
        {
            reports = catalog.Compile(architecture, progress: null, TestContext.Current.CancellationToken);
        }
        catch (MoeException exception) when (exception.Reason == MoeReason.MissingLibrary)
        {
            Assert.Skip(exception.Message);
        }

        Assert.Empty(reports.Where(report => report.Error is not null).Select(report => report.Error));
        Assert.Empty(reports.Where(report => report.SpillBytes > 0).Select(report => $"{report.Kernel}: {report.SpillBytes}"));
        Assert.Contains(reports, report => report.Kernel == kernel);
        Assert.All(reports, report => Assert.InRange(report.Registers, 1, 255));

        // Second products round nothing to MXFP8: one serves both kinds of activations.
        Assert.DoesNotContain(reports, report =>
            report.Kernel.StartsWith("moe_mxfp4_product2<", StringComparison.Ordinal) && report.Kernel.EndsWith("RoundMxfp8>", StringComparison.Ordinal));
    }
}
