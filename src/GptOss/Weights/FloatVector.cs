using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>Copies rows of a BF16 or float32 tensor to float32.</summary>
internal static unsafe class FloatVector
{
    public static float[] Read(MoeTensorView view)
    {
        float[] values = new float[view.Columns];
        ReadRow(view, 0, values);
        return values;
    }

    public static void ReadRow(MoeTensorView view, int row, Span<float> target)
    {
        fixed (float* first = target)
        {
            Floats.ReadRow(view, row, first, stride: 1);
        }
    }
}
