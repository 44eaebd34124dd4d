namespace Moe.Plugins.Tests;

/// <summary>Which backends run the ranks' parts of a layer.</summary>
public sealed class LayerLedgerTests
{
    private readonly List<string> _ends = [];
    private readonly LayerLedger _ledger;

    public LayerLedgerTests() => _ledger = new LayerLedger(ranks: 3, _ends.Add);

    [Fact]
    public void Layers_may_have_backends_of_their_own_and_ranks_may_go_ahead()
    {
        foreach (int rank in new[] { 2, 0, 1 })
        {
            for (int again = 0; again < 3; again++)
            {
                _ledger.Require(rank, "one", "A 1.0.0");
                _ledger.Require(rank, "two", "B 1.0.0");
            }
        }

        Assert.Empty(_ends);
    }

    [Fact]
    public void A_layer_that_is_made_again_may_have_another_backend_if_it_has_so_everywhere()
    {
        foreach (string backend in new[] { "A 1.0.0", "A 1.1.0", "B 1.0.0" })
        {
            for (int rank = 0; rank < 3; rank++)
            {
                _ledger.Require(rank, "one", backend);
            }
        }

        Assert.Empty(_ends);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public void Who_differs_from_the_first_is_named_with_both(int before)
    {
        for (int i = 0; i < before * 3; i++)
        {
            _ledger.Require(i % 3, "one", "A 1.0.0");
        }

        _ledger.Require(1, "one", "A 1.0.0");
        _ledger.Require(0, "one", "A 1.0.0");
        MoeException error = Assert.Throws<MoeException>(() => _ledger.Require(2, "one", "A 1.0.1"));

        Assert.Equal("Rank 2 differs from rank 1 in the layer's backend: A 1.0.1 against A 1.0.0. The same is expected on all ranks.", error.Message);
        Assert.Equal(MoeReason.Configuration, error.Reason);
        Assert.Equal([error.Message], _ends);
    }
}
