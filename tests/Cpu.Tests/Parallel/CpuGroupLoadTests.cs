using Moe.Plugins.Tests;

namespace Moe.Plugins.Cpu.Tests;

public sealed class CpuGroupLoadTests : GroupLoadTests
{
    protected override IMoeParallelBackend Backend => Groups.Backend;

    protected override IReadOnlyList<MoeDevice> Devices(int ranks) => [.. Enumerable.Repeat(MoeDevice.Cpu, ranks)];
}
