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

    private readonly int[] _offsets;
    private readonly List<PanelMatrix> _pieces = [];

    // Those of the first NUMA node before those of the next; its place tells where a panel's results go.
    private readonly List<(PanelMatrix Piece, int Panel, int Place)> _panels = [];
    private readonly int[] _firstPanels;
    private readonly int _group;

    public Linear(CpuTeam team, params LinearTensors[] parts)
    {
        Inputs = parts[0].Weight.Columns;
        _offsets = new int[parts.Length];
        List<int> places = [];
        for (int part = 0; part < parts.Length; part++)
        {
            _offsets[part] = Panels * PanelKernel.Rows;
            int rows = parts[part].Weight.Rows;
            for (int first = 0; first < rows; first += PieceRows)
            {
                LinearTensors piece = parts[part].Rows(first, Math.Min(PieceRows, rows - first));
                var matrix = new MoeExpertMatrix { Values = piece.Weight, Bias = piece.Bias };
                _pieces.Add(new PanelMatrix(matrix, MoeWeightFormat.BFloat16, experts: 1, piece.Weight.Rows, Inputs, isGated: false, isCoarse: false, team));
                places.Add(Panels);
                Panels += _pieces[^1].Panels;
            }
        }

        _firstPanels = new int[team.Nodes + 1];
        for (int node = 0; node < team.Nodes; node++)
        {
            foreach ((PanelMatrix piece, int place) in _pieces.Zip(places))
            {
                for (int panel = piece.FirstPanels[node]; panel < piece.FirstPanels[node + 1]; panel++)
                {
                    _panels.Add((piece, panel, place + panel));
                }
            }

            _firstPanels[node + 1] = _panels.Count;
        }

        // A unit begins somewhere else in memory than where the thread's last one ended, which costs as much as reading some kilobytes.
        _group = Math.Clamp(Panels / (team.ThreadCount * UnitsOfThread), 1, MaxGroup);
        UnitsOfNodes = [.. Enumerable.Range(0, team.Nodes).Select(node => (_firstPanels[node + 1] - _firstPanels[node] + _group - 1) / _group)];
    }

    public int Inputs { get; }

    public int Panels { get; }

    /// <summary>Floats of a result row: outputs rounded up to whole panels, for each part.</summary>
    public int Width => Panels * PanelKernel.Rows;

    /// <summary>Units of work of one product, by the NUMA node that has their weights.</summary>
    public int[] UnitsOfNodes { get; }

    /// <summary>Pieces that are loaded apart.</summary>
    public int Pieces => _pieces.Count;

    public long ByteCount => _pieces.Sum(piece => piece.ByteCount);

    /// <summary>Where the results of a part begin in a row.</summary>
    public int Offset(int part) => _offsets[part];

    /// <summary>Copies one piece from the checkpoint.</summary>
    public void Load(int piece) => _pieces[piece].LoadExpert(0);

    /// <summary>Does one unit of a product with rows that lie in blocks.</summary>
    /// <param name="kernel">The kernel for BF16.</param>
    /// <param name="unit">Its number among those of all nodes.</param>
    /// <param name="input">The rows, <see cref="Inputs"/> wide.</param>
    /// <param name="output">[rows][<see cref="Width"/>], bias added.</param>
    public unsafe void Multiply(PanelKernel kernel, int unit, RowBlocks input, float* output)
    {
        float* sums = stackalloc float[kernel.MaxTokens * PanelKernel.Rows];
        (int node, int unitOfNode) = NodeUnits.Find(UnitsOfNodes, unit);
        int first = _firstPanels[node] + (unitOfNode * _group), last = Math.Min(first + _group, _firstPanels[node + 1]);
        for (int panel = first; panel < last; panel++)
        {
            (PanelMatrix piece, int panelOfPiece, int place) = _panels[panel];
            float* bias = piece.Bias(0, panelOfPiece);
            for (int block = 0; block < input.Count; block++)
            {
                int rows = input.RowsOf(block);
                piece.Multiply(0, panelOfPiece, input.Block(block), rows, sums);
                for (int row = 0; row < rows; row++)
                {
                    float* target = output + ((long)(input.FirstRow(block) + row) * Width) + (place * PanelKernel.Rows);
                    float* sum = sums + (row * PanelKernel.Rows);
                    for (int lane = 0; lane < PanelKernel.Rows; lane += Vector256<float>.Count)
                    {
                        (Vector256.Load(sum + lane) + Vector256.Load(bias + lane)).Store(target + lane);
                    }
                }
            }
        }
    }

    public void Dispose() => _pieces.ForEach(piece => piece.Dispose());
}
