using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Collectives.Tests;

/// <summary>Groups whose numbers NCCL carries, of threads of this process.</summary>
[Collection(Alone.Name)]
public sealed class NcclGroupLoadTests : GroupLoadTests
{
    public static TheoryData<string> Rules => [.. ConformanceSuite.Rules.Select(rule => rule.Id).Where(id => id.StartsWith("group-", StringComparison.Ordinal))];

    protected override IMoeParallelBackend Backend => CollectivesHost.Nccl;

    protected override IReadOnlyList<MoeDevice> Devices(int ranks) => CollectivesHost.NcclDevices(ranks);

    [Theory]
    [MemberData(nameof(Rules))]
    public void Rule_is_kept(string rule)
    {
        Devices(2);
        var subject = new ConformanceSubject { Backend = (IMoeBackend)Backend };

        ConformanceResult result = ConformanceSuite.Rules.Single(candidate => candidate.Id == rule).Check(subject, TestContext.Current.CancellationToken);

        Assert.SkipWhen(result.Outcome == ConformanceOutcome.NotSupported, result.Reason);
        Assert.True(result.Outcome == ConformanceOutcome.Passed, $"{result.Statement} {string.Join("; ", result.Failures)}");
    }
}
