namespace Moe.Plugins;

/// <summary>
/// A backend: it knows which devices and layers it can run, and makes the quantisation method of a layer. All members may be called
/// from several threads at once. Dispose comes after every method that it made.
/// </summary>
public interface IMoeBackend : IAsyncDisposable
{
    /// <summary>
    /// Whether the backend can run a layer here, and how well. It does not throw: what stands in the way is an answer, with its
    /// reason.
    /// </summary>
    MoeProbeResult Probe(MoeProbeRequest request);

    /// <summary>
    /// Makes the method for a layer. Where <see cref="Probe"/> supported the request, it names the device that the probe answered
    /// with. It touches no device yet, so that a tool can ask for a layer's padded sizes on a machine that cannot run it.
    /// </summary>
    /// <exception cref="MoeException">The backend has no method for such a layer on any device.</exception>
    IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request);
}
