using Moe.Plugins;
using Moe.Plugins.Conformance;

namespace Contoso.MyBackend.Tests;

/// <summary>Every rule of the contract, on a GPU; where there is none, that the kernels compile.</summary>
public sealed class BackendTests : BackendConformanceTests
{
    [Theory]
    [InlineData("sm_80")]
    [InlineData("sm_90a")]
    public async Task It_compiles_without_a_spill(string architecture)
    {
        await using IMoeBackend backend = CreateBackend();
        IReadOnlyList<MoeKernelReport> reports = [];
        try
        {
            reports = ((IMoeKernelCatalog)backend).Compile(architecture, progress: null, TestContext.Current.CancellationToken);
        }
        catch (MoeException exception) when (exception.Reason == MoeReason.MissingLibrary)
        {
            Assert.Skip(exception.Message);
        }

        Assert.Empty(reports.Where(report => report.Error is not null).Select(report => report.Error));
        Assert.All(reports.Where(report => report.Kernel.StartsWith("product_", StringComparison.Ordinal)), report => Assert.Equal(0, report.SpillBytes));
        Assert.Contains(reports, report => report.Kernel == "product_down");
    }

    protected override IMoeBackend CreateBackend() => new Plugin().CreateBackend(Context);
}
