namespace Moe.Plugins.GptOss.Cuda.Tests;

public sealed class KernelCompilationTests
{
    [Theory]
    [InlineData("sm_80")]
    [InlineData("sm_90a")]
    [InlineData("sm_100a")]
    [InlineData("sm_120a")]
    public void Every_kernel_compiles_without_a_spill(string architecture)
    {
        IReadOnlyList<MoeKernelReport> reports = [];
        try
        {
            reports = new GptOssKernelCatalog().Compile(architecture, progress: null, TestContext.Current.CancellationToken);
        }
        catch (MoeException exception) when (exception.Reason == MoeReason.MissingLibrary)
        {
            Assert.Skip(exception.Message);
        }

        Assert.Empty(reports.Where(report => report.Error is not null).Select(report => report.Error));
        Assert.Empty(reports.Where(report => report.SpillBytes > 0).Select(report => $"{report.Kernel}: {report.SpillBytes}"));
        Assert.Equal(architecture == "sm_90a" ? 24 : 21, reports.Count);
        Assert.All(reports, report => Assert.InRange(report.Registers, 1, 255));
    }
}
