namespace Moe.Plugins.Cpu;

/// <summary>One forward as phases of independent units. It belongs to a workspace and is used again for each batch.</summary>
internal sealed unsafe class CpuForward(CpuWorkspace workspace) : ICpuWork
{
    /// <summary>Experts whose logits are one unit of work.</summary>
    private const int LogitGroup = 8;

    /// <summary>Panels that are one unit of work: small enough that no thread waits long for the last.</summary>
    private const int PanelGroup = 4;

    private readonly MoeLayerShape _shape = workspace.Config.Shape;
    private readonly TokenBlocks _blocks = workspace.Blocks;
    private MoeForwardArguments _arguments;
    private CpuWeights _weights = null!;
    private PanelKernel _kernel = null!;
    private int _first;
    private int _tokens;

    private enum Phase
    {
        Widen,
        Logits,
        Choose,
        Pack,
        GateUp,
        Down,
        Combine,
    }

    /// <summary>Runs a batch.</summary>
    public void Run(in MoeForwardArguments arguments, PanelKernel kernel, CpuTeam team)
    {
        _arguments = arguments;
        _weights = (CpuWeights)arguments.Weights;
        _kernel = kernel;
        if (arguments.Routing == MoeRoutingSource.Router && _weights.Router is null)
        {
            throw new MoeException(MoeReason.Checkpoint, "The layer was loaded without a router, so the caller must route.");
        }

        for (_first = 0; _first < arguments.Input.Rows; _first += workspace.ChunkTokens)
        {
            _tokens = Math.Min(workspace.ChunkTokens, arguments.Input.Rows - _first);
            RunChunk(team);
        }
    }

    void ICpuWork.Do(int phase, int unit, int worker)
    {
        switch ((Phase)phase)
        {
            case Phase.Widen:
                Floats.ReadRow(_arguments.RouterInput, _first + unit, workspace.RouterInput + ((long)unit * _shape.HiddenSize), 1);
                break;
            case Phase.Logits:
                Logits(unit);
                break;
            case Phase.Choose:
                Choose(unit);
                break;
            case Phase.Pack:
                Pack(unit);
                break;
            case Phase.GateUp:
                GateUp(unit);
                break;
            case Phase.Down:
                Down(unit);
                break;
            default:
                Combine(unit);
                break;
        }
    }

    private static int Groups(int count, int size) => (count + size - 1) / size;

    private void RunChunk(CpuTeam team)
    {
        if (_arguments.Routing == MoeRoutingSource.Router)
        {
            team.Run(this, (int)Phase.Widen, _tokens);
            team.Run(this, (int)Phase.Logits, _tokens * Groups(_shape.ExpertCount, LogitGroup));
            team.Run(this, (int)Phase.Choose, _tokens);
        }
        else
        {
            CopyChoice();
        }

        _blocks.Sort(workspace.Ids, _tokens * _shape.TopK, _kernel.MaxTokens);
        team.Run(this, (int)Phase.Pack, _blocks.Count);
        team.Run(this, (int)Phase.GateUp, _blocks.ActiveExperts * Groups(_weights.GateUp.Panels, PanelGroup));
        team.Run(this, (int)Phase.Down, _blocks.ActiveExperts * Groups(_weights.Down.Panels, PanelGroup));
        team.Run(this, (int)Phase.Combine, _tokens);
    }

    private void Logits(int unit)
    {
        int groups = Groups(_shape.ExpertCount, LogitGroup);
        int token = unit / groups;
        int firstExpert = unit % groups * LogitGroup;
        RouterWeights router = _weights.Router!;
        float* x = workspace.RouterInput + ((long)token * _shape.HiddenSize);
        double* logits = workspace.Logits + ((long)token * _shape.ExpertCount);
        for (int expert = firstExpert; expert < Math.Min(firstExpert + LogitGroup, _shape.ExpertCount); expert++)
        {
            logits[expert] = DoubleDot.Compute(x, router.Row(expert), _shape.HiddenSize) + router.Bias(expert);
        }
    }

    private void Choose(int token)
    {
        int* ids = workspace.Ids + (token * _shape.TopK);
        float* weights = workspace.Weights + (token * _shape.TopK);
        ExpertChoice.Choose(workspace.Logits + ((long)token * _shape.ExpertCount), _shape, ids, weights);
        if (!_arguments.TopKIds.IsEmpty)
        {
            new Span<int>(ids, _shape.TopK).CopyTo(new Span<int>((void*)_arguments.TopKIds.RowAddress(_first + token), _shape.TopK));
            new Span<float>(weights, _shape.TopK).CopyTo(new Span<float>((void*)_arguments.TopKWeights.RowAddress(_first + token), _shape.TopK));
        }
    }

    private void CopyChoice()
    {
        for (int token = 0; token < _tokens; token++)
        {
            var ids = new ReadOnlySpan<int>((void*)_arguments.TopKIds.RowAddress(_first + token), _shape.TopK);
            var weights = new ReadOnlySpan<float>((void*)_arguments.TopKWeights.RowAddress(_first + token), _shape.TopK);
            foreach (int id in ids)
            {
                if ((uint)id >= (uint)_shape.ExpertCount)
                {
                    throw new ArgumentException($"Token {_first + token} goes to expert {id}; 0 to {_shape.ExpertCount - 1} is expected.");
                }
            }

            ids.CopyTo(new Span<int>(workspace.Ids + (token * _shape.TopK), _shape.TopK));
            weights.CopyTo(new Span<float>(workspace.Weights + (token * _shape.TopK), _shape.TopK));
        }
    }

    private void Pack(int unit)
    {
        TokenBlock block = _blocks[unit];
        float* target = workspace.Input + ((long)block.Start * workspace.InputWidth);
        for (int i = 0; i < block.Count; i++)
        {
            int token = _blocks.PairAt(block.Start + i) / _shape.TopK;
            Floats.ReadRow(_arguments.Input, _first + token, target + i, block.Count);
            if (workspace.InputWidth > _shape.HiddenSize)
            {
                target[((long)_shape.HiddenSize * block.Count) + i] = 0f;
            }
        }
    }

    private void GateUp(int unit)
    {
        PanelMatrix matrix = _weights.GateUp;
        int groups = Groups(matrix.Panels, PanelGroup);
        int active = unit / groups;
        int expert = _blocks.Expert(active);
        int first = unit % groups * PanelGroup;
        int last = Math.Min(first + PanelGroup, matrix.Panels);
        float* sums = stackalloc float[_kernel.MaxTokens * PanelKernel.Rows];
        for (int panel = first; panel < last; panel++)
        {
            foreach (ref readonly TokenBlock block in _blocks.Of(active))
            {
                float* x = workspace.Input + ((long)block.Start * workspace.InputWidth);
                _kernel.Multiply(matrix.Codes(expert, panel), matrix.Scales(expert, panel), matrix.Pairs, x, block.Count, sums);
                float* target = workspace.Activated + ((long)block.Start * workspace.ActivatedWidth) + ((long)panel * PanelKernel.Half * block.Count);
                Activation.Apply(_shape.Activation, sums, matrix.Bias(expert, panel), block.Count, target);
                if (panel == matrix.Panels - 1 && _shape.IntermediateSize % 2 != 0)
                {
                    // The last neuron's partner in the second product: a weight of 0 would not silence an infinity.
                    new Span<float>(target + (_shape.IntermediateSize % PanelKernel.Half * block.Count), block.Count).Clear();
                }
            }
        }
    }

    private void Down(int unit)
    {
        PanelMatrix matrix = _weights.Down;
        int groups = Groups(matrix.Panels, PanelGroup);
        int active = unit / groups;
        int expert = _blocks.Expert(active);
        int first = unit % groups * PanelGroup;
        int last = Math.Min(first + PanelGroup, matrix.Panels);
        float* sums = stackalloc float[_kernel.MaxTokens * PanelKernel.Rows];
        for (int panel = first; panel < last; panel++)
        {
            float* bias = matrix.Bias(expert, panel);
            foreach (ref readonly TokenBlock block in _blocks.Of(active))
            {
                float* x = workspace.Activated + ((long)block.Start * workspace.ActivatedWidth);
                _kernel.Multiply(matrix.Codes(expert, panel), matrix.Scales(expert, panel), matrix.Pairs, x, block.Count, sums);
                for (int i = 0; i < block.Count; i++)
                {
                    int place = block.Start + i;
                    float weight = workspace.Weights[_blocks.PairAt(place)];
                    float* target = workspace.Output + ((long)place * workspace.OutputWidth) + (panel * PanelKernel.Rows);
                    for (int lane = 0; lane < PanelKernel.Rows; lane++)
                    {
                        target[lane] = weight * (sums[(i * PanelKernel.Rows) + lane] + bias[lane]);
                    }
                }
            }
        }
    }

    private void Combine(int token)
    {
        // The first choice's row becomes the sum: it is read by nobody else.
        float* sum = workspace.Output + ((long)_blocks.PlaceOf(token * _shape.TopK) * workspace.OutputWidth);
        for (int k = 1; k < _shape.TopK; k++)
        {
            float* row = workspace.Output + ((long)_blocks.PlaceOf((token * _shape.TopK) + k) * workspace.OutputWidth);
            for (int i = 0; i < _shape.HiddenSize; i++)
            {
                sum[i] += row[i];
            }
        }

        Floats.WriteRow(_arguments.Output, _first + token, sum);
    }
}
