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
}
