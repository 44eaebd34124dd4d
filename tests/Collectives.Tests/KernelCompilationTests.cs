namespace Moe.Plugins.Collectives.Tests;

public sealed class KernelCompilationTests
{
    [Theory]
    [InlineData("sm_80")]
    [InlineData("sm_90a")]
    [InlineData("sm_100a")]
    [InlineData("sm_120a")]
    public void Kernels_compile_and_spill_nothing(string architecture)
    {
        bool found = Cuda.Nvrtc.TryLoad(null, out string? reason);
        Assert.SkipUnless(found, reason ?? "");
        var catalog = Assert.IsType<IMoeKernelCatalog>(CollectivesHost.Shared.FindBackend(CollectivesHost.Id), exactMatch: false);

        IReadOnlyList<MoeKernelReport> reports = catalog.Compile(architecture, progress: null, TestContext.Current.CancellationToken);

        Assert.All(reports, report => Assert.Null(report.Error));
        Assert.Empty(reports.Where(report => report.SpillBytes > 0).Select(report => $"{report.Kernel}: {report.SpillBytes}"));
    }
}
