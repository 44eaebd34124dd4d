namespace Moe.Plugins.Bf16.Tests;

public sealed class KernelCompilationTests
{
    [Theory]
    [InlineData("sm_80")]
    [InlineData("sm_89")]
    [InlineData("sm_90a")]
    [InlineData("sm_100a")]
    [InlineData("sm_120a")]
    public void Every_kernel_compiles_without_a_spill(string architecture)
    {
        var catalog = Assert.IsType<IMoeKernelCatalog>(Bf16.Host.Backend, exactMatch: false);
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
        Assert.Contains(reports, report => report.Kernel == "moe_router_8");
        Assert.Contains(reports, report => report.Kernel.StartsWith("bf16_decode_gate_up<64, 8, 128,", StringComparison.Ordinal));
        Assert.Contains(reports, report => report.Kernel.StartsWith("moe_bf16_prefill", StringComparison.Ordinal));
        Assert.All(reports, report => Assert.InRange(report.Registers, 1, 255));
    }
}
