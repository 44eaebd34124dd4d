namespace Moe.Plugins.Cli.Tests;

public sealed class PeerTests
{
    public static string File => Path.Combine(Repository.Root, "bench/peers/h100-2026-11-23.json");

    private static PeerFigures Peers => PeerFigures.Load(File);

    [Fact]
    public void Every_shape_batch_and_peer_is_there()
    {
        Assert.Equal(
            from shape in (string[])["gpt-oss-20b", "gpt-oss-120b"] from power in Enumerable.Range(0, 14) select (shape, 1 << power),
            Peers.Rows.Select(row => (row.Shape, row.Tokens)));
        string[] names = [.. Peers.Peers.Select(peer => peer.Name)];
        Assert.Equal(7, names.Length);
        Assert.All(Peers.Rows, row => Assert.Empty(row.Microseconds.Keys.Except(names)));
        Assert.All(Peers.Rows, row => Assert.InRange(row.Microseconds.Count, 6, 7));
    }

    [Fact]
    public void The_floor_that_was_published_is_the_one_that_ratios_are_of()
    {
        foreach (PeerRow row in Peers.Rows)
        {
            MoeLayerShape shape = LayerShapeText.Parse(row.Shape);
            double floor = Peers.Floor.Microseconds(shape, row.Tokens, BenchFloor.ExpectedExperts(shape, row.Tokens));
            Assert.InRange(row.FloorMicroseconds / floor, 0.98, 1.02);
        }
    }

    [Fact]
    public void A_ratio_is_of_the_peers_own_weights()
    {
        PeerPoint marlin = Peers.Points("gpt-oss-20b", "mxfp4").Single(point => point is { Name: "Marlin", Tokens: 1 });
        Assert.Equal((56.5, 3.23), (marlin.Microseconds, Math.Round(marlin.Ratio, 2)));
        PeerPoint torch = Peers.Points("gpt-oss-20b", "bf16").Single(point => point is { Name: "torch", Tokens: 1 });
        Assert.Equal((147.0, 2.24), (torch.Microseconds, Math.Round(torch.Ratio, 2)));
    }

    [Theory]
    [InlineData("NVIDIA H100 80GB HBM3", true)]
    [InlineData("NVIDIA H100 NVL", false)]
    [InlineData("AMD EPYC", false)]
    public void Figures_are_of_one_kind_of_device(string device, bool expected) => Assert.Equal(expected, Peers.IsOf(device));
}
