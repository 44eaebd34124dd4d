using System.Runtime.Intrinsics;
using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>A BF16 matrix in the kernels' layout, and its bias. Its rows may come from several tensors, each of which begins a panel.</summary>
internal sealed class Linear : IDisposable
{
    /// <summary>The most panels that are one unit of work: longer streams gain nothing.</summary>
    private const int MaxGroup = 8;

    /// <summary>Units that each thread gets at least, where that many panels are there: no thread waits long for the last.</summary>
    private const int UnitsOfThread = 8;

    /// <summary>Rows that are loaded at once: whole panels, and some megabytes.</summary>
    private const int PieceRows = 64 * PanelKernel.Rows;

    private readonly int _threads;
    private readonly int[] _offsets;
    private readonly List<PanelMatrix> _pieces = [];
    private readonly List<(PanelMatrix Piece, int Panel)> _panels = [];

    public Linear(int threads, params LinearTensors[] parts)
    {
        _threads = threads;
        Inputs = parts[0].Weight.Columns;
        _offsets = new int[parts.Length];
        for (int part = 0; part < parts.Length; part++)
        {
            _offsets[part] = Panels * PanelKernel.Rows;
            int rows = parts[part].Weight.Rows;
            for (int first = 0; first < rows; first += PieceRows)
            {
                Add(parts[part].Rows(first, Math.Min(PieceRows, rows - first)));
            }
        }
    }

    public int Inputs { get; }

    public int Panels => _panels.Count;

    /// <summary>Floats of a result row: outputs rounded up to whole panels, for each part.</summary>
    public int Width => Panels * PanelKernel.Rows;

    /// <summary>Units of work of one product.</summary>
    public int Units => (Panels + Group - 1) / Group;

    /// <summary>Pieces that are loaded apart.</summary>
    public int Pieces => _pieces.Count;

    public long ByteCount => _pieces.Sum(piece => piece.ByteCount);

    /// <summary>Where the results of a part begin in a row.</summary>
    public int Offset(int part) => _offsets[part];

    /// <summary>Copies one piece from the checkpoint.</summary>
    public void Load(int piece) => _pieces[piece].LoadExpert(0);

    /// <summary>Does one unit of a product with rows that lie in blocks.</summary>
    /// <param name="kernel">The kernel for BF16.</param>
    /// <param name="unit">0 to <see cref="Units"/> − 1.</param>
    /// <param name="input">The rows, <see cref="Inputs"/> wide.</param>
    /// <param name="output">[rows][<see cref="Width"/>], bias added.</param>
    public unsafe void Multiply(PanelKernel kernel, int unit, RowBlocks input, float* output)
    {
        float* sums = stackalloc float[kernel.MaxTokens * PanelKernel.Rows];
        int last = Math.Min((unit + 1) * Group, Panels);
        for (int panel = unit * Group; panel < last; panel++)
        {
            (PanelMatrix piece, int panelOfPiece) = _panels[panel];
            float* bias = piece.Bias(0, panelOfPiece);
            for (int block = 0; block < input.Count; block++)
            {
                int rows = input.RowsOf(block);
                piece.Multiply(0, panelOfPiece, input.Block(block), rows, sums);
                for (int row = 0; row < rows; row++)
                {
                    float* target = output + ((long)(input.FirstRow(block) + row) * Width) + (panel * PanelKernel.Rows);
                    float* sum = sums + (row * PanelKernel.Rows);
                    for (int lane = 0; lane < PanelKernel.Rows; lane += Vector256<float>.Count)
                    {
                        (Vector256.Load(sum + lane) + Vector256.Load(bias + lane)).Store(target + lane);
                    }
                }
            }
        }
    }

    // A unit begins somewhere else in memory than where the thread's last one ended, which costs as much as reading some kilobytes.
    private int Group => Math.Clamp(Panels / (_threads * UnitsOfThread), 1, MaxGroup);

    public void Dispose() => _pieces.ForEach(piece => piece.Dispose());

    private void Add(LinearTensors rows)
    {
        var matrix = new MoeExpertMatrix { Values = rows.Weight, Bias = rows.Bias };
        var piece = new PanelMatrix(matrix, MoeWeightFormat.BFloat16, experts: 1, rows.Weight.Rows, Inputs, isGated: false);
        _pieces.Add(piece);
        for (int panel = 0; panel < piece.Panels; panel++)
        {
            _panels.Add((piece, panel));
        }
    }
}
