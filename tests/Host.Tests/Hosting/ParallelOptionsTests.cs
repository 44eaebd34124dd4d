using Microsoft.Extensions.Configuration;

namespace Moe.Plugins.Tests;

/// <summary>What stands in <c>Moe:Parallel</c>, and what is said when it is wrong.</summary>
public sealed class ParallelOptionsTests
{
    [Fact]
    public void Every_key_is_read()
    {
        MoeParallelOptions parallel = Read(
            ("Tensor", "2"), ("Expert", "3"), ("Devices", "cuda:0,cuda:1"), ("Launcher", "torchrun"), ("Address", "node0"), ("Port", "4000"), ("Timeout", "00:00:02")).Parallel;

        Assert.Equal((2, 3, MoeLauncher.Torchrun, "node0", 4000), (parallel.Tensor, parallel.Expert, parallel.Launcher, parallel.Address, parallel.Port));
        Assert.Equal(["cuda:0", "cuda:1"], parallel.Devices);
        Assert.Equal(TimeSpan.FromSeconds(2), parallel.Timeout);
    }

    [Theory]
    [InlineData("Tensr", "2", "Moe:Parallel:Tensr", "Did you mean 'Tensor'?")]
    [InlineData("Tensor", "two", "Moe:Parallel:Tensor", "a whole number is expected")]
    [InlineData("Launcher", "mpirun", "Moe:Parallel:Launcher", "None, Torchrun, Slurm or OpenMpi is expected")]
    [InlineData("Timeout", "2 s", "Moe:Parallel:Timeout", "a time such as 00:00:30")]
    public void What_cannot_be_read_is_named(string key, string value, string path, string words)
    {
        MoeOptionsException error = Assert.Throws<MoeOptionsException>(() => Read((key, value)));

        Assert.Equal([path], error.Keys);
        Assert.Contains(words, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Tensor", "0", "Moe:Parallel:Tensor", "at least 1")]
    [InlineData("Devices", "gpu0", "Moe:Parallel:Devices", "has 'gpu0'; cpu, cuda:N or N is expected")]
    [InlineData("Devices", "cuda:0,cuda:1", "Moe:Parallel:Devices", "has 2; one for each of the 1 ranks is expected")]
    [InlineData("Port", "70000", "Moe:Parallel:Port", "1 to 65535")]
    [InlineData("Timeout", "00:00:00", "Moe:Parallel:Timeout", "more than 0")]
    [InlineData("Timeout", "30", "Moe:Parallel:Timeout", "00:00:30 is half a minute, and 30 are days")]
    [InlineData("Address", "", "Moe:Parallel:Address", "is empty")]
    public void What_is_out_of_range_is_named(string key, string value, string path, string words)
    {
        MoeOptionsException error = Assert.Throws<MoeOptionsException>(() => MoeOptionsValidator.Check(Read((key, value))));

        Assert.Equal([path], error.Keys);
        Assert.Contains(words, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_layer_becomes_the_part_of_its_rank()
    {
        MoeRanks ranks = Ranks(launched: null);
        var request = new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B };

        MoeLayerRequest placed = ranks.Place(request with { Rank = 3 });

        Assert.Equal((MoePart.OfRank(3, 2, 2), MoeDevice.Cuda(3), null), (placed.Options.Part, placed.Device, placed.Rank));
        Assert.Equal(MoeDevice.Cpu, ranks.Place(request with { Rank = 3, Device = MoeDevice.Cpu }).Device);
        Assert.Contains("Rank is null; one of 0 to 3", Assert.Throws<MoeException>(() => ranks.Place(request)).Message, StringComparison.Ordinal);
        Assert.Contains("Rank is 4; one of 0 to 3", Assert.Throws<MoeException>(() => ranks.Place(request with { Rank = 4 })).Message, StringComparison.Ordinal);

        // Who names a part knows what it wants.
        MoeLayerRequest part = request with { Options = new MoeLayerOptions { Part = MoePart.OfRank(1, 2, 1) } };
        Assert.Equal(part, ranks.Place(part));
        Assert.Throws<MoeException>(() => ranks.Place(part with { Rank = 1 }));
    }

    [Fact]
    public void The_only_rank_of_a_process_need_not_be_said()
    {
        MoeRanks ranks = Ranks(new LaunchedRank(2, 4, 0, "localhost", 1, ""));
        var request = new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B };

        Assert.Equal([2], ranks.Local);
        Assert.Equal(MoePart.OfRank(2, 2, 2), ranks.Place(request).Options.Part);
        Assert.Contains("Rank is 1; 2, the ranks of this process", Assert.Throws<MoeException>(() => ranks.Place(request with { Rank = 1 })).Message, StringComparison.Ordinal);
    }

    /// <summary>The group of it is there, and a layer elsewhere would not go with it.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_only_rank_is_on_its_device_if_that_was_named(bool isNamed)
    {
        var ranks = new MoeRanks(new MoeOptions { Parallel = { Devices = isNamed ? ["cuda:1"] : [] } }, launched: null, [MoeDevice.Cuda(1)]);
        var request = new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B };

        Assert.Equal(request with { Device = isNamed ? MoeDevice.Cuda(1) : null }, ranks.Place(request));
        Assert.Equal(MoeDevice.Cpu, ranks.Place(request with { Rank = 0, Device = MoeDevice.Cpu }).Device);
    }

    private static MoeRanks Ranks(LaunchedRank? launched) =>
        new(new MoeOptions { Parallel = new MoeParallelOptions { Tensor = 2, Expert = 2 } }, launched, [.. Enumerable.Range(0, 4).Select(MoeDevice.Cuda)]);

    private static MoeOptions Read(params (string Key, string Value)[] values) => MoeOptions.From(new ConfigurationBuilder()
        .AddInMemoryCollection(values.Select(value => KeyValuePair.Create($"Moe:Parallel:{value.Key}", (string?)value.Value)))
        .Build());
}
