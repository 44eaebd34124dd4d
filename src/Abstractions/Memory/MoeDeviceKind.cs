namespace Moe.Plugins;

/// <summary>What kind of processor a device is, and so which memory its addresses mean.</summary>
public enum MoeDeviceKind
{
    /// <summary>The machine's processor; addresses are ordinary memory of this process.</summary>
    Cpu = 0,

    /// <summary>
    /// A CUDA device; addresses are device pointers of the context that the backend uses: the device's primary one, unless its setting <c>Context</c> names
    /// another.
    /// </summary>
    Cuda = 1,
}
