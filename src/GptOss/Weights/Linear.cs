using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>A BF16 matrix in the kernels' layout, and its bias. Its rows may come from several tensors, each of which begins a panel.</summary>
internal sealed class Linear : IDisposable
{
    /// <summary>Panels that are one unit of work: small enough that no thread waits long for the last.</summary>
    private const int PanelGroup = 2;

    private readonly LinearTensors[] _parts;
    private readonly PanelMatrix _matrix;

    public Linear(params LinearTensors[] parts)
    {
        _parts = parts;
        Inputs = parts[0].Weight.Columns;
        _matrix = new PanelMatrix(MoeWeightFormat.BFloat16, experts: 1, parts.Sum(PanelsOf), Inputs);
    }

    public int Inputs { get; }

    public int Panels => _matrix.Panels;

    /// <summary>Floats of a result row: outputs rounded up to whole panels, for each part.</summary>
    public int Width => Panels * PanelKernel.Rows;

    /// <summary>Units of work of one product.</summary>
    public int Units => (Panels + PanelGroup - 1) / PanelGroup;

    public long ByteCount => _matrix.ByteCount;

    /// <summary>Where the results of a part begin in a row.</summary>
    public int Offset(int part) => _parts.Take(part).Sum(PanelsOf) * PanelKernel.Rows;

    /// <summary>Copies one panel from the checkpoint.</summary>
    public void Load(int panel)
    {
        int first = panel;
        int part = 0;
        while (first >= PanelsOf(_parts[part]))
        {
            first -= PanelsOf(_parts[part++]);
        }

        Span<int> rows = stackalloc int[PanelKernel.Rows];
        for (int lane = 0; lane < rows.Length; lane++)
        {
            int row = (first * PanelKernel.Rows) + lane;
            rows[lane] = row < _parts[part].Weight.Rows ? row : -1;
        }

        var source = new MoeExpertMatrix { Values = _parts[part].Weight, Bias = _parts[part].Bias };
        PanelPacker.Pack(_matrix, source, expert: 0, panel, rows);
    }

    /// <summary>Does one unit of a product with rows that lie in blocks.</summary>
    /// <param name="kernel">The kernel for BF16.</param>
    /// <param name="unit">0 to <see cref="Units"/> − 1.</param>
    /// <param name="input">The rows, <see cref="Inputs"/> wide.</param>
    /// <param name="output">[rows][<see cref="Width"/>], bias added.</param>
    public unsafe void Multiply(PanelKernel kernel, int unit, RowBlocks input, float* output)
    {
        float* sums = stackalloc float[kernel.MaxTokens * PanelKernel.Rows];
        int last = Math.Min((unit + 1) * PanelGroup, Panels);
        for (int panel = unit * PanelGroup; panel < last; panel++)
        {
            float* bias = _matrix.Bias(0, panel);
            for (int block = 0; block < input.Count; block++)
            {
                int rows = input.RowsOf(block);
                kernel.Multiply(_matrix.Codes(0, panel), null, _matrix.Pairs, input.Block(block), rows, sums);
                for (int row = 0; row < rows; row++)
                {
                    float* target = output + ((long)(input.FirstRow(block) + row) * Width) + (panel * PanelKernel.Rows);
                    for (int lane = 0; lane < PanelKernel.Rows; lane++)
                    {
                        target[lane] = sums[(row * PanelKernel.Rows) + lane] + bias[lane];
                    }
                }
            }
        }
    }

    public void Dispose() => _matrix.Dispose();

    private static int PanelsOf(LinearTensors part) => (part.Weight.Rows + PanelKernel.Rows - 1) / PanelKernel.Rows;
}
