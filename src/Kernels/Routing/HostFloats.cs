using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Reads small BF16 or float32 tensors of the checkpoint, biases and routers, as float32.</summary>
public static unsafe class HostFloats
{
    /// <summary>One element.</summary>
    public static float Read(in MoeTensorView view, int row, int column) => view.ElementType == MoeElementType.Float32
        ? ((float*)view.RowAddress(row))[column]
        : BitConverter.UInt32BitsToSingle((uint)((ushort*)view.RowAddress(row))[column] << 16);

    /// <summary>Copies a matrix to the device, dense.</summary>
    /// <param name="context">The context, which must be current.</param>
    /// <param name="view">[rows, columns] in host memory.</param>
    public static DeviceArray Upload(CudaContext context, in MoeTensorView view)
    {
        float[] values = new float[(long)view.Rows * view.Columns];
        for (int row = 0; row < view.Rows; row++)
        {
            for (int column = 0; column < view.Columns; column++)
            {
                values[((long)row * view.Columns) + column] = Read(view, row, column);
            }
        }

        var array = new DeviceArray(context, (long)values.Length * sizeof(float));
        CudaMemory.Upload<float>(array.Address, values);
        return array;
    }
}
