namespace Moe.Plugins.Tests;

/// <summary>A plugin of an older minor version of the contract runs; one of another major version, or of a later minor one, is refused.</summary>
public sealed class ContractVersionTests
{
    [Fact]
    public async Task A_plugin_that_knows_nothing_new_runs_with_the_default_bodies()
    {
        using var drop = new DropFolder().With("ContractOldMinor");
        await using MoeHost host = drop.Load();
        using MoeLayer layer = host.CreateLayer(TinyLayer.Request, TinyLayer.Weights, cancellationToken: TestContext.Current.CancellationToken);

        Assert.Equal("2.0", Assert.Single(host.Plugins).ContractVersion);
        Assert.Equal((8, true, true), (layer.Config.HiddenSize, layer.Config.HostPadsInput, layer.Config.HostSlicesOutput));
        Assert.Equal(0, layer.WeightRoundingError);
        using MoeForwardState state = layer.CreateState();
        using Floats input = new Floats(2, 5, gap: 1).FillWithPlaces();
        using var output = new Floats(2, 5, gap: 1);
        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });

        Assert.Equal((15, 515), (output[0, 4], output[1, 4]));
        Assert.True(output.GapIsUntouched());
    }

    [Theory]
    [InlineData("2.0", "2.0")]
    [InlineData("2.0", "2.1")]
    [InlineData("2.9", "2.10")]
    public void An_older_minor_version_is_taken(string needed, string offered) => ContractCheck.Check(needed, offered);

    [Theory]
    [InlineData("2.1", "2.0", "It needs contract 2.1; this host has 2.0: a newer host runs it.")]
    [InlineData("1.9", "2.0", "It needs contract 1.9; this host has 2.0, and major versions do not mix.")]
    [InlineData("1.0", "3.4", "It needs contract 1.0; this host has 3.4, and major versions do not mix.")]
    [InlineData("2", "2.0", "It declares contract '2'; major.minor is expected, such as ")]
    public void Another_version_is_refused_with_a_sentence(string needed, string offered, string sentence)
    {
        MoeException error = Assert.Throws<MoeException>(() => ContractCheck.Check(needed, offered));

        Assert.Equal(MoeReason.ContractVersion, error.Reason);
        Assert.StartsWith(sentence, error.Message, StringComparison.Ordinal);
    }
}
