using System.Runtime.InteropServices;

namespace Moe.Plugins.Tests;

/// <summary>A float32 matrix whose rows are followed by garbage: NaN, which no sum forgets.</summary>
internal sealed unsafe class Floats : IDisposable
{
    private readonly float* _data;
    private readonly int _stride;

    public Floats(int rows, int columns, int gap = 0)
    {
        Rows = rows;
        Columns = columns;
        _stride = columns + gap;
        nuint count = (nuint)(Math.Max(rows, 1) * _stride);
        _data = (float*)NativeMemory.Alloc(count * sizeof(float));
        new Span<float>(_data, (int)count).Fill(float.NaN);
    }

    public int Rows { get; }

    public int Columns { get; }

    public MoeTensorView View =>
        new((nint)_data, MoeDevice.Cpu, MoeElementType.Float32, Rows, Columns, (long)_stride * sizeof(float));

    public float this[int row, int column]
    {
        get => _data[(row * _stride) + column];
        set => _data[(row * _stride) + column] = value;
    }

    public static float At(in MoeTensorView view, int row, int column) => ((float*)view.RowAddress(row))[column];

    public static void Set(in MoeTensorView view, int row, int column, float value) => ((float*)view.RowAddress(row))[column] = value;

    public Floats FillWithPlaces()
    {
        for (int row = 0; row < Rows; row++)
        {
            for (int column = 0; column < Columns; column++)
            {
                this[row, column] = (row * 100) + column + 1;
            }
        }

        return this;
    }

    public bool GapIsUntouched()
    {
        for (int row = 0; row < Rows; row++)
        {
            for (int column = Columns; column < _stride; column++)
            {
                if (!float.IsNaN(this[row, column]))
                {
                    return false;
                }
            }
        }

        return true;
    }

    public void Dispose() => NativeMemory.Free(_data);
}
