using Moe.Plugins.Tests;

namespace Moe.Plugins.Collectives.Tests;

[Collection(Alone.Name)]
public sealed class PeerGroupLoadTests : GroupLoadTests
{
    protected override IMoeParallelBackend Backend => CollectivesHost.Backend;

    protected override IReadOnlyList<MoeDevice> Devices(int ranks) => CollectivesHost.Devices(ranks);

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Replays_of_a_graph_and_other_calls_mix(int ranks) => GraphMix.Run(Backend, Devices(ranks));
}
