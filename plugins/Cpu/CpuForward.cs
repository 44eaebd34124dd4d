using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>One forward as phases of independent units. It belongs to a workspace and is used again for each batch.</summary>
internal sealed unsafe class CpuForward(CpuWeights weights, CpuWorkspace workspace, CpuTeam team) : ICpuWork
{
    /// <summary>The most panels that are one unit of work.</summary>
    private const int MaxGroup = 4 * PanelMatrix.PanelStep;

    /// <summary>Units that each thread gets at least, where that many panels are there: no thread waits long for the last.</summary>
    private const int UnitsOfThread = 8;

    private readonly MoeLayerShape _shape = weights.Config.Shape;
    private readonly int _maxBlock = Math.Max(weights.Experts.MaxTokens, workspace.Dense is null ? 0 : weights.DenseTokens);
    private readonly bool _weighsInput = weights.Config.Shape.Router.WeightOn == MoeWeightOn.Input;
    private readonly ChunkRouter _router = new(weights, workspace, team.ThreadCount);
    private MoeTensorView _output;
    private int _first;
    private int _tokens;

    // What the phases of packing and multiplying work on; set before each.
    private Packing _packing;
    private Product _product;
    private PanelRows _activated;
    private readonly int[] _unitsOfNodes = new int[team.Nodes];
    private int _group;
    private CpuNetwork _network = null!;

    private enum Phase
    {
        Widen,
        Score,
        Choose,
        Pack,
        Activate,
        Multiply,
        SharedGate,
        Combine,
        Finish,
    }

    /// <summary>Runs a batch.</summary>
    public void Run(in MoeForwardArguments arguments)
    {
        if (arguments.Routing == MoeRoutingSource.Router && weights.Router is null)
        {
            throw new MoeException(MoeReason.Checkpoint, "The layer was loaded without a router, so the caller must route.");
        }

        var routing = new MoeRouteArguments
        {
            Input = arguments.RouterInput,
            TopKIds = arguments.TopKIds,
            TopKWeights = arguments.TopKWeights,
            TokenIds = arguments.TokenIds,
        };
        _output = arguments.Output;
        for (_first = 0; _first < arguments.Input.Rows; _first += workspace.ChunkTokens)
        {
            BeginChunk(routing);
            RunChunk(arguments.Routing);
        }
    }

    /// <summary>Routes a batch, and no more.</summary>
    public void Route(in MoeRouteArguments arguments)
    {
        for (_first = 0; _first < arguments.Input.Rows; _first += workspace.ChunkTokens)
        {
            BeginChunk(arguments);
            RouteChunk();
        }
    }

    void ICpuWork.Do(int phase, int unit, int worker)
    {
        switch ((Phase)phase)
        {
            case Phase.Widen:
                _router.Widen(unit);
                break;
            case Phase.Score:
                _router.Score(unit);
                break;
            case Phase.Choose:
                _router.Choose(unit);
                break;
            case Phase.Pack:
                Pack(unit);
                break;
            case Phase.Activate:
                Activate(unit);
                break;
            case Phase.Multiply:
                Multiply(unit);
                break;
            case Phase.SharedGate:
                float* row = workspace.Rows + ((long)unit * _shape.HiddenSize);
                fixed (float* gate = weights.SharedGate)
                {
                    workspace.SharedWeights[unit] = (float)(1 / (1 + Math.Exp(-DoubleDot.Compute(row, gate, _shape.HiddenSize))));
                }

                break;
            case Phase.Combine:
                Combine(unit);
                break;
            default:
                Finish(unit);
                break;
        }
    }

    private static int Groups(int count, int size) => (count + size - 1) / size;

    private void Run(Phase phase, int units) => team.Run(this, (int)phase, units);

    private void BeginChunk(in MoeRouteArguments routing)
    {
        _tokens = Math.Min(workspace.ChunkTokens, routing.Input.Rows - _first);
        _router.Begin(routing, _first, _tokens);
        Run(Phase.Widen, _tokens);
    }

    private void RunChunk(MoeRoutingSource source)
    {
        if (source == MoeRoutingSource.Router)
        {
            RouteChunk();
        }
        else
        {
            _router.CopyChoice();
        }

        workspace.Dense?.Sort(null, _tokens, weights.DenseTokens);
        int width = CpuWorkspace.RoundUp(_shape.ExpertHiddenSize);
        float* expertRows = workspace.Rows;
        if (weights.LatentDown is not null)
        {
            Project(weights.LatentDown, workspace.Rows, _shape.HiddenSize, workspace.Latent, width);
            expertRows = workspace.Latent;
        }

        CpuWorkspace.NetworkBuffers experts = workspace.Experts;
        experts.Blocks.Sort(workspace.Ids, _tokens * _shape.TopK, weights.Experts.MaxTokens, _shape.FirstExpert);
        RunNetwork(
            weights.Experts,
            experts,
            new Packing(
                experts.Blocks, _shape.TopK, expertRows, weights.LatentDown is null ? _shape.HiddenSize : width, _shape.ExpertHiddenSize, experts.Input,
                weights.Experts.GateUp, _weighsInput ? workspace.Weights : null),
            _weighsInput ? null : workspace.Weights);
        Run(Phase.Combine, _tokens);
        if (weights.LatentUp is not null)
        {
            // The latent rows were read; the projection's result takes the place of its input.
            Project(weights.LatentUp, workspace.Sums, width, workspace.Sums, CpuWorkspace.RoundUp(_shape.HiddenSize));
        }

        if (weights.Shared is not null)
        {
            if (weights.SharedGate is not null)
            {
                Run(Phase.SharedGate, _tokens);
            }

            CpuWorkspace.NetworkBuffers shared = workspace.Shared!;
            RunNetwork(
                weights.Shared,
                shared,
                new Packing(shared.Blocks, 1, workspace.Rows, _shape.HiddenSize, _shape.HiddenSize, shared.Input, weights.Shared.GateUp, null),
                workspace.SharedWeights);
        }

        Run(Phase.Finish, _tokens);
    }

    private void RouteChunk()
    {
        if (_shape.Router.Choice == MoeRouterChoice.TokenTable)
        {
            _router.LookUp();
        }

        Run(Phase.Score, _router.ScoreUnits);
        Run(Phase.Choose, _tokens);
    }

    private void RunNetwork(CpuNetwork network, CpuWorkspace.NetworkBuffers buffers, in Packing packing, float* outputWeights)
    {
        _network = network;
        _packing = packing;
        Run(Phase.Pack, buffers.Blocks.Count);
        _product = new Product(network.GateUp, buffers.Blocks, buffers.Input, null, 0, null);
        _activated = buffers.Activated;
        RunProduct(Phase.Activate);
        _product = new Product(network.Down, buffers.Blocks, buffers.Activated, buffers.Output, buffers.OutputWidth, outputWeights);
        RunProduct(Phase.Multiply);
    }

    private void Project(PanelMatrix matrix, float* rows, int rowWidth, float* target, int targetWidth)
    {
        TokenBlocks blocks = workspace.Dense!;
        bool isDown = matrix == weights.LatentDown;
        PanelRows input = isDown ? workspace.DownRows : workspace.UpRows;
        _packing = new Packing(blocks, 1, rows, rowWidth, isDown ? _shape.HiddenSize : _shape.ExpertHiddenSize, input, matrix, null);
        Run(Phase.Pack, blocks.Count);
        _product = new Product(matrix, blocks, input, target, targetWidth, null);
        RunProduct(Phase.Multiply);
    }

    /// <summary>Cuts a product into units of some panels, and does them. A unit begins somewhere else in memory than where its thread's last one ended, which takes time.</summary>
    private void RunProduct(Phase phase)
    {
        int[] firsts = _product.Matrix.FirstPanels;
        int experts = _product.Blocks.ActiveExperts, panels = _product.Matrix.Panels * experts / (team.ThreadCount * UnitsOfThread);
        _group = Math.Clamp(panels / PanelMatrix.PanelStep * PanelMatrix.PanelStep, PanelMatrix.PanelStep, MaxGroup);
        for (int node = 0; node < _unitsOfNodes.Length; node++)
        {
            _unitsOfNodes[node] = experts * Groups(firsts[node + 1] - firsts[node], _group);
        }

        team.Run(this, (int)phase, _unitsOfNodes);
    }

    /// <summary>
    /// What a unit of a product is: the place of its expert among those that have tokens, and panels. Experts take turns, so that those of few tokens, which
    /// wait for memory, are multiplied beside those of many.
    /// </summary>
    private (int Active, int First, int Last) Find(int number)
    {
        (int node, int unit) = NodeUnits.Find(_unitsOfNodes, number);
        int[] firsts = _product.Matrix.FirstPanels;
        (int group, int active) = Math.DivRem(unit, _product.Blocks.ActiveExperts);
        int first = firsts[node] + (group * _group);
        return (active, first, Math.Min(first + _group, firsts[node + 1]));
    }

    /// <summary>Lays the rows of a block's tokens as the reader takes them.</summary>
    private void Pack(int unit)
    {
        TokenBlock block = _packing.Blocks[unit];
        int step = _packing.Reader.Step(block.Count);
        for (int i = 0; i < block.Count; i++)
        {
            int pair = _packing.Blocks.PairAt(block.Start + i);
            float* row = _packing.Rows + ((long)(pair / _packing.PairsOfRow) * _packing.RowWidth);
            float* target = _packing.Target.Values(block.Start, i, step);
            float factor = _packing.Factors is null ? 1 : _packing.Factors[pair];
            if (step == 1)
            {
                Floats.Multiply(row, factor, target, _packing.Inputs);
            }
            else
            {
                for (int input = 0; input < _packing.Inputs; input++)
                {
                    target[(long)input * step] = factor * row[input];
                }
            }

            if (_packing.Target.Width > _packing.Inputs)
            {
                target[(long)_packing.Inputs * step] = 0f;
            }
        }

        _packing.Reader.Encode(_packing.Target, block.Start, block.Count, 0, _packing.Inputs);
    }

    /// <summary>A few panels of the first product for all tokens of an expert, and the activation.</summary>
    private void Activate(int unit)
    {
        PanelMatrix matrix = _product.Matrix;
        (int active, int first, int last) = Find(unit);
        int expert = _product.Blocks.Expert(active);
        int neurons = _network.IntermediateSize;
        float* sums = stackalloc float[_maxBlock * PanelKernel.Rows];
        for (int panel = first; panel < last; panel++)
        {
            foreach (ref readonly TokenBlock block in _product.Blocks.Of(active))
            {
                matrix.Multiply(expert, panel, _product.Input, block.Start, block.Count, sums);
                int step = _network.Down.Step(block.Count);
                for (int i = 0; i < block.Count; i++)
                {
                    float* target = _activated.Values(block.Start, i, step) + ((long)panel * matrix.PanelOutputs * step);
                    Activation.Apply(_network.Activation, sums + (i * PanelKernel.Rows), matrix.Bias(expert, panel), target, step);
                    if (panel == matrix.Panels - 1 && neurons % 2 != 0)
                    {
                        // The last neuron's partner in the second product: a weight of 0 would not silence an infinity.
                        target[(long)neurons % matrix.PanelOutputs * step] = 0f;
                    }
                }
            }
        }

        int firstNeuron = first * matrix.PanelOutputs;
        foreach (ref readonly TokenBlock block in _product.Blocks.Of(active))
        {
            _network.Down.Encode(_activated, block.Start, block.Count, firstNeuron, Math.Min(last * matrix.PanelOutputs, neurons) - firstNeuron);
        }
    }

    /// <summary>A few panels of a product for all tokens of an expert, weighted.</summary>
    private void Multiply(int unit)
    {
        PanelMatrix matrix = _product.Matrix;
        (int active, int first, int last) = Find(unit);
        int expert = _product.Blocks.Expert(active);
        float* sums = stackalloc float[_maxBlock * PanelKernel.Rows];
        for (int panel = first; panel < last; panel++)
        {
            float* bias = matrix.Bias(expert, panel);
            foreach (ref readonly TokenBlock block in _product.Blocks.Of(active))
            {
                matrix.Multiply(expert, panel, _product.Input, block.Start, block.Count, sums);
                for (int i = 0; i < block.Count; i++)
                {
                    int place = block.Start + i;
                    float weight = _product.Weights is null ? 1 : _product.Weights[_product.Blocks.PairAt(place)];
                    float* target = _product.Output + ((long)place * _product.OutputWidth) + (panel * PanelKernel.Rows);
                    float* sum = sums + (i * PanelKernel.Rows);
                    for (int lane = 0; lane < PanelKernel.Rows; lane += Vector256<float>.Count)
                    {
                        (weight * (Vector256.Load(sum + lane) + Vector256.Load(bias + lane))).Store(target + lane);
                    }
                }
            }
        }
    }

    /// <summary>Adds the rows of a token's experts, and norms the sum where a norm follows.</summary>
    private void Combine(int token)
    {
        CpuWorkspace.NetworkBuffers experts = workspace.Experts;
        int width = _shape.ExpertHiddenSize;
        float* sum = workspace.Sums + ((long)token * CpuWorkspace.RoundUp(width));
        bool isFirst = true;
        for (int k = 0; k < _shape.TopK; k++)
        {
            int place = experts.Blocks.PlaceOf((token * _shape.TopK) + k);
            if (place < 0)
            {
                continue;
            }

            float* row = experts.Output + ((long)place * experts.OutputWidth);
            if (isFirst)
            {
                new ReadOnlySpan<float>(row, width).CopyTo(new Span<float>(sum, width));
                isFirst = false;
                continue;
            }

            Floats.Add(sum, row, width);
        }

        if (isFirst)
        {
            new Span<float>(sum, width).Clear();
        }

        if (weights.LatentNorm is { } norm)
        {
            double factor = 1 / Math.Sqrt((DoubleDot.Compute(sum, sum, width) / width) + _shape.Latent!.NormEpsilon!.Value);
            for (int i = 0; i < width; i++)
            {
                sum[i] = (float)(sum[i] * factor) * norm[i];
            }
        }
    }

    private void Finish(int token)
    {
        float* sum = workspace.Sums + ((long)token * CpuWorkspace.RoundUp(_shape.HiddenSize));
        if (workspace.Shared is { } shared)
        {
            float* row = shared.Output + ((long)shared.Blocks.PlaceOf(token) * shared.OutputWidth);
            Floats.Add(sum, row, _shape.HiddenSize);
        }

        Floats.WriteRow(_output, _first + token, sum);
    }

    /// <summary>Rows that become columns: each row goes to a number of neighbouring pairs, times a factor where there are factors.</summary>
    private readonly struct Packing(
        TokenBlocks blocks, int pairsOfRow, float* rows, int rowWidth, int inputs, PanelRows target, PanelMatrix reader, float* factors)
    {
        public TokenBlocks Blocks => blocks;

        public int PairsOfRow => pairsOfRow;

        public float* Rows => rows;

        public int RowWidth => rowWidth;

        public int Inputs => inputs;

        public PanelRows Target => target;

        public PanelMatrix Reader => reader;

        public float* Factors => factors;
    }

    /// <summary>A product of all its experts: inputs for each block [inputs][tokens], outputs in rows, times a weight for each pair where there are weights.</summary>
    private readonly struct Product(
        PanelMatrix matrix, TokenBlocks blocks, PanelRows input, float* output, int outputWidth, float* weights)
    {
        public PanelMatrix Matrix => matrix;

        public TokenBlocks Blocks => blocks;

        public PanelRows Input => input;

        public float* Output => output;

        public int OutputWidth => outputWidth;

        public float* Weights => weights;
    }
}
