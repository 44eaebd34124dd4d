namespace Moe.Plugins;

/// <summary>A backend that can measure its device may implement this beside <see cref="IMoeBackend"/>.</summary>
public interface IMoeInstrumentedBackend
{
    /// <summary>Makes the instruments of a device that a probe of this backend named.</summary>
    /// <exception cref="MoeException">The device cannot be used.</exception>
    IMoeInstruments CreateInstruments(MoeDevice device);
}
