using Moq;

namespace Moe.Plugins.Tests;

/// <summary>What ranks have in common, told over a rendezvous that is a mock.</summary>
public sealed class AgreementTests
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(2);

    [Fact]
    public void Equal_ranks_agree()
    {
        Mock<IMoeRendezvous> rendezvous = Ranks(own => [own, own, own]);

        Agreement.Require(rendezvous.Object, "making a group", [("the group's plugin", "Cpu"), ("the version of plugin Cpu", "1.1.0")], Timeout);

        rendezvous.Verify(r => r.Exchange("making a group", It.IsAny<ReadOnlyMemory<byte>>(), Timeout), Times.Once);
        rendezvous.Verify(r => r.Abort(It.IsAny<MoeReason>(), It.IsAny<string>()), Times.Never);
    }

    [Fact]
    public void The_first_that_differs_is_named_with_both_values_and_all_hear_it()
    {
        byte[] other = FrameText.Join(FrameText.Of("Cpu"), FrameText.Of("1.0.0"));
        Mock<IMoeRendezvous> rendezvous = Ranks(own => [own, own, other]);

        MoeException error = Assert.Throws<MoeException>(() => Agreement.Require(
            rendezvous.Object, "making a group", [("the group's plugin", "Cpu"), ("the version of plugin Cpu", "1.1.0")], Timeout));

        Assert.Equal(MoeReason.Configuration, error.Reason);
        Assert.Equal("Rank 2 differs from rank 0 in the version of plugin Cpu: 1.0.0 against 1.1.0. The same is expected on all ranks.", error.Message);
        rendezvous.Verify(r => r.Abort(MoeReason.Configuration, error.Message), Times.Once);
    }

    [Theory]
    [InlineData("Shape { Width = 96, TopK = 2, Router = Router { Score = Sigmoid } }", "Shape { Width = 96, TopK = 12, Router = Router { Score = Logit } }", "TopK = 2 against TopK = 12")]
    [InlineData("Shape { Width = 96 }", "Shape { Width = 960 }", "Width = 96 against Width = 960")]
    [InlineData("Shape { Router = Router { Score = Sigmoid } }", "Shape { Router = Router { Score = Logit } }", "Score = Sigmoid against Score = Logit")]
    [InlineData("1.0.0", "1.0", "1.0.0 against 1.0")]
    [InlineData("", "1.0", " against 1.0")]
    public void Of_two_records_the_member_that_differs_is_said(string one, string other, string expected)
    {
        Mock<IMoeRendezvous> rendezvous = Ranks(own => [own, FrameText.Join(FrameText.Of(one))]);

        MoeException error = Assert.Throws<MoeException>(() => Agreement.Require(rendezvous.Object, "making a state", [("the layer's shape", other)], Timeout));

        Assert.Equal($"Rank 1 differs from rank 0 in the layer's shape: {expected}. The same is expected on all ranks.", error.Message);
    }

    [Theory]
    [InlineData(new byte[0])]
    [InlineData(new byte[] { 255, 255, 255, 255 })]
    [InlineData(new byte[] { 200, 0, 0, 0, 1 })]
    public void What_is_no_frame_breaks_the_contract(byte[] other)
    {
        Mock<IMoeRendezvous> rendezvous = Ranks(own => [own, other]);

        MoeException error = Assert.Throws<MoeException>(() => Agreement.Require(rendezvous.Object, "making a group", [("the group's plugin", "Cpu")], Timeout));

        Assert.Equal(MoeReason.ContractBroken, error.Reason);
    }

    private static Mock<IMoeRendezvous> Ranks(Func<ReadOnlyMemory<byte>, IReadOnlyList<ReadOnlyMemory<byte>>> all)
    {
        var rendezvous = new Mock<IMoeRendezvous>();
        rendezvous.Setup(r => r.Exchange(It.IsAny<string>(), It.IsAny<ReadOnlyMemory<byte>>(), It.IsAny<TimeSpan>()))
            .Returns((string _, ReadOnlyMemory<byte> own, TimeSpan _) => all(own));
        return rendezvous;
    }
}
