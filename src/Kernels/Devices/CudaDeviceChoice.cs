using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Finds the device that a backend is to run on, or the reason why there is none.</summary>
public static class CudaDeviceChoice
{
    /// <summary>The device that was asked for, or the first that is new enough.</summary>
    /// <param name="requested">What the host asks for; null for any.</param>
    /// <param name="minimum">The oldest architecture that the backend has kernels for.</param>
    /// <param name="device">The device, where one was found.</param>
    /// <returns>Null where a device was found, else the refusal.</returns>
    public static MoeProbeResult? Find(MoeDevice? requested, CudaArchitecture minimum, out CudaDevice? device)
    {
        device = null;
        if (requested is { Kind: not MoeDeviceKind.Cuda } other)
        {
            return MoeProbeResult.Unsupported(MoeReason.NoDevice, $"it runs on CUDA devices alone, and {other} was asked for");
        }

        if (!CudaDriver.TryLoad(out string? reason))
        {
            return MoeProbeResult.Unsupported(MoeReason.NoDevice, reason.TrimEnd('.'));
        }

        try
        {
            return Find(requested?.Ordinal, minimum, out device);
        }
        catch (CudaException exception)
        {
            return MoeProbeResult.Unsupported(MoeReason.NoDevice, exception.Message);
        }
    }

    private static MoeProbeResult? Find(int? ordinal, CudaArchitecture minimum, out CudaDevice? device)
    {
        device = null;
        CudaDevice? tooOld = null;
        int first = ordinal ?? 0;
        int last = ordinal ?? (CudaDevice.Count - 1);
        for (int i = first; i <= last; i++)
        {
            CudaDevice candidate = CudaDevice.Get(i);
            if (candidate.Architecture.Number >= minimum.Number)
            {
                device = candidate;
                return null;
            }

            tooOld = candidate;
        }

        return MoeProbeResult.Unsupported(
            MoeReason.DeviceUnsupported,
            $"{tooOld?.Name} has compute capability {tooOld?.Architecture.Major}.{tooOld?.Architecture.Minor}, and "
            + $"{minimum.Major}.{minimum.Minor} or newer is needed");
    }
}
