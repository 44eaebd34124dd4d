namespace Moe.Plugins.Cli;

/// <summary>
/// Has a host pad and slice for a method that needs neither: it changes no size, but hands tokens on in buffers of its own, as an
/// expert-parallel dispatcher does, so that the method's two capabilities do not count.
/// </summary>
internal sealed class HostPadding : IMoeDispatcher
{
    /// <summary>Bytes that the host's copies around a forward read and write.</summary>
    /// <param name="config">The layer's sizes.</param>
    /// <param name="tokens">Tokens of the forward.</param>
    public static long CopiedBytes(MoeLayerConfig config, int tokens)
    {
        long values = (long)tokens * config.Shape.HiddenSize;
        return 2 * ((config.HostPadsInput ? values * config.Options.InputType.ByteSize() : 0)
            + (config.HostSlicesOutput ? values * config.Options.OutputType.ByteSize() : 0));
    }
}
