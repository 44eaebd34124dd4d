using Moe.Plugins.Cuda;

namespace Cuda.Tests;

/// <summary>Skips a test, with the reason in the results, where what it needs is not on this machine.</summary>
internal static class Require
{
    internal static void Nvrtc()
    {
        bool found = Moe.Plugins.Cuda.Nvrtc.TryLoad(null, out string? reason);
        Assert.SkipUnless(found, reason ?? "");
    }

    internal static CudaContext Gpu(int architecture = 80)
    {
        bool found = CudaDriver.TryLoad(out string? reason);
        Assert.SkipUnless(found, reason ?? "");
        Nvrtc();
        CudaDevice device = CudaDevice.Get(0);
        Assert.SkipUnless(
            device.Architecture.Number >= architecture,
            $"{device.Name} is {device.Architecture}, and sm_{architecture} or newer is needed.");
        return CudaContext.RetainPrimary(device);
    }
}
