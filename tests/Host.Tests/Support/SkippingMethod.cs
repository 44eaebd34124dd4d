namespace Moe.Plugins.Tests;

/// <summary>The recording method with capabilities as a test wants them.</summary>
internal sealed class SkippingMethod(HostMemory memory, bool skips, bool unpadded) : RecordingMethod(memory), IMoeQuantMethod
{
    public bool SupportsSkipForwardPadding => skips;

    public bool HasUnpaddedOutput => unpadded;
}
