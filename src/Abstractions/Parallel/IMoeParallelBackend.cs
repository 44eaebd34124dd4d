namespace Moe.Plugins;

/// <summary>
/// A backend that can join several ranks into a group may implement this beside <see cref="IMoeBackend"/>. The members of its groups also
/// serve layers of other backends on the same devices. All members may be called from several threads at once.
/// </summary>
public interface IMoeParallelBackend
{
    /// <summary>
    /// Whether such a group can be made here. It does not throw: what stands in the way is an answer, <see cref="MoeReason.NoPeerAccess"/>
    /// or <see cref="MoeReason.MissingLibrary"/> for one.
    /// </summary>
    MoeProbeResult ProbeGroup(MoeGroupRequest request);

    /// <summary>
    /// Makes a group and all its members. Where they reach each other through a driver, it has moved numbers first and looked at them where
    /// they went: a driver's word is not enough. Where it throws, nothing is left behind.
    /// </summary>
    /// <exception cref="MoeException">The group cannot be made, for the reason that <see cref="ProbeGroup"/> gives, or a device failed.</exception>
    IMoeGroup CreateGroup(MoeGroupRequest request);
}
