using Moe.Plugins.Tests;

namespace Moe.Plugins.Cpu.Tests;

public sealed class CpuGroupLoadTests : GroupLoadTests
{
    protected override IMoeParallelBackend Backend => Groups.Backend;

    // Half of the deaths are waited for, for the groups' whole patience: beside each other they take seconds.
    protected override int DeathCount => Math.Max(Kills, 200);

    protected override int DeathsAtOnce => 20;

    protected override IReadOnlyList<MoeDevice> Devices(int ranks) => [.. Enumerable.Repeat(MoeDevice.Cpu, ranks)];
}
