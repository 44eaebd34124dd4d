namespace Moe.Plugins;

/// <summary>
/// A backend that compiles its kernels at run time may implement this beside <see cref="IMoeBackend"/>: a tool can then compile them
/// ahead of the first start, on a machine without the device.
/// </summary>
public interface IMoeKernelCatalog
{
    /// <summary>Architectures of the devices here, as the compiler names them (<c>sm_90a</c>); empty where there is none.</summary>
    IReadOnlyList<string> LocalArchitectures { get; }

    /// <summary>Compiles every kernel for an architecture, or finds it compiled, and keeps the result for later starts.</summary>
    /// <param name="architecture">As the compiler names it, <c>sm_90a</c>.</param>
    /// <param name="progress">Told the share that is done, 0 to 1; may be null.</param>
    /// <param name="cancellationToken">Ends the work between two kernels.</param>
    /// <returns>One entry a kernel; one that did not compile carries its error.</returns>
    /// <exception cref="MoeException">There is no compiler on this machine.</exception>
    IReadOnlyList<MoeKernelReport> Compile(
        string architecture, IProgress<double>? progress = null, CancellationToken cancellationToken = default);
}
