namespace Moe.Plugins.Kernels;

/// <summary>Reads small BF16 or float32 tensors of the checkpoint, biases and routers, as float32.</summary>
public static unsafe class HostFloats
{
    /// <summary>One element.</summary>
    public static float Read(in MoeTensorView view, int row, int column) => view.ElementType == MoeElementType.Float32
        ? ((float*)view.RowAddress(row))[column]
        : MoeBFloat16.ToSingle(((ushort*)view.RowAddress(row))[column]);

    /// <summary>Copies a matrix to the device, dense.</summary>
    /// <param name="target">Who allocates; its context must be current.</param>
    /// <param name="view">[rows, columns] in host memory; may be empty.</param>
    /// <returns>The address; 0 for an empty one.</returns>
    public static nint Upload(DeviceArena target, in MoeTensorView view)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (view.IsEmpty)
        {
            return 0;
        }

        float[] values = new float[(long)view.Rows * view.Columns];
        for (int row = 0; row < view.Rows; row++)
        {
            for (int column = 0; column < view.Columns; column++)
            {
                values[((long)row * view.Columns) + column] = Read(view, row, column);
            }
        }

        return target.Upload<float>(values);
    }
}
