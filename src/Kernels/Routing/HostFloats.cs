namespace Moe.Plugins.Kernels;

/// <summary>Copies small tensors of the checkpoint to the device as float32.</summary>
public static class HostFloats
{
    /// <summary>Copies a matrix, dense.</summary>
    /// <param name="target">Who allocates; its context must be current.</param>
    /// <param name="tensor">[rows, columns]; may be null.</param>
    /// <returns>The address; 0 for none.</returns>
    public static nint Upload(DeviceArena target, MoeStoredTensor? tensor)
    {
        ArgumentNullException.ThrowIfNull(target);
        return tensor is null ? 0 : target.Upload<float>(tensor.ToSingles());
    }
}
