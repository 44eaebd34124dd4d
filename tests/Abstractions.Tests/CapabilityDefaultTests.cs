using Moq;

namespace Moe.Plugins.Abstractions.Tests;

public sealed class CapabilityDefaultTests
{
    [Fact]
    public void A_method_that_says_nothing_is_padded_and_sliced()
    {
        IMoeQuantMethod method = new MinimalMethod(256);

        Assert.False(method.SupportsSkipForwardPadding);
        Assert.False(method.HasUnpaddedOutput);
    }

    [Fact]
    public void The_default_bodies_say_false()
    {
        // A loose mock would answer false whatever the bodies say; CallBase runs them.
        var method = new Mock<IMoeQuantMethod> { CallBase = true };

        Assert.False(method.Object.SupportsSkipForwardPadding);
        Assert.False(method.Object.HasUnpaddedOutput);
    }

    [Fact]
    public void What_knows_nothing_of_routing_before_a_forward_says_so()
    {
        var workspace = new Mock<IMoeWorkspace> { CallBase = true };
        var member = new Mock<IMoeCommunicator> { CallBase = true };

        Assert.False(workspace.Object.CanRoute);
        Assert.Throws<NotSupportedException>(() => workspace.Object.Route(default));
        Assert.False(member.Object.GainsByRouting(1 << 20, 4, 1));
    }
}
