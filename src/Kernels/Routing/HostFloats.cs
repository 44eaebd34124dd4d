namespace Moe.Plugins.Kernels;

/// <summary>Copies small tensors of the checkpoint, biases and routers, to the device as float32.</summary>
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

    /// <summary>Copies the biases of all experts, a neuron's gate before its up.</summary>
    /// <param name="target">Who allocates; its context must be current.</param>
    /// <param name="reader">The matrix.</param>
    /// <param name="experts">Experts.</param>
    /// <returns>The address of [experts, outputs]; 0 where there are none.</returns>
    public static unsafe nint UploadBias(DeviceArena target, MoeExpertReader reader, int experts)
    {
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(reader);
        if (!reader.HasBias)
        {
            return 0;
        }

        float[] values = new float[(long)experts * reader.Outputs];
        fixed (float* start = values)
        {
            for (int expert = 0; expert < experts; expert++)
            {
                reader.ReadBias(expert, (nint)(start + ((long)expert * reader.Outputs)));
            }
        }

        return target.Upload<float>(values);
    }
}
