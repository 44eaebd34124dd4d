using Moe.Plugins.Tests;

namespace Moe.Plugins.Collectives.Tests;

[Collection(Alone.Name)]
public sealed class PeerGroupLoadTests : GroupLoadTests
{
    protected override IMoeParallelBackend Backend => CollectivesHost.Backend;

    protected override IReadOnlyList<MoeDevice> Devices(int ranks) => CollectivesHost.Devices(ranks);
}
