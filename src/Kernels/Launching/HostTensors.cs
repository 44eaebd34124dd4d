using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Copies the checkpoint's tensors to the device as they are.</summary>
public static class HostTensors
{
    /// <summary>Copies one plane, dense; it has left the host's memory when the default stream has come this far.</summary>
    /// <param name="target">The device address.</param>
    /// <param name="view">[planes, rows, columns] in host memory.</param>
    /// <param name="plane">Which plane: an expert.</param>
    public static void Upload(nint target, in MoeTensorView view, int plane)
    {
        // A dense plane in one stretch: copies of rows from pageable memory are several times slower.
        if (view.RowStride == view.RowBytes)
        {
            CudaMemory.Copy(target, view.RowAddress(0, plane), view.RowBytes * view.Rows, 0);
        }
        else
        {
            CudaMemory.Copy2D(target, view.RowBytes, view.RowAddress(0, plane), view.RowStride, view.RowBytes, view.Rows, 0);
        }
    }
}
