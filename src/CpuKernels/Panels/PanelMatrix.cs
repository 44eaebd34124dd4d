using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>
/// One weight matrix of all experts as panels of 32 rows: the words of the panel's rows lie side by side, each with a pair of BF16 inputs
/// or eight MXFP4 ones, so that one stream of loads fills the lanes of all vectors. Rows beyond the matrix are zeros. The panels of a matrix with gates hold 16 gates
/// and then their 16 ups.
/// </summary>
/// <remarks>
/// MXFP4 and BF16 are kept as they are. Every other format is kept as BF16, or, where that would lose something, as the sum of two BF16
/// matrices: 16 bits of mantissa, a relative error of at most 2^-17.
/// </remarks>
internal sealed unsafe class PanelMatrix : IDisposable
{
    /// <summary>Panels that stay together: whole blocks of inputs of a next product, gated or not.</summary>
    public const int PanelStep = 4;

    private readonly MoeExpertReader _reader;
    private readonly bool _isMxfp4;
    private readonly PanelKernel _kernel;
    private readonly DigitKernel? _digits;
    private readonly NativeBuffer _codes;
    private readonly NativeBuffer? _rest;
    private readonly NativeBuffer? _scales;
    private readonly NativeBuffer _bias;
    private readonly long _panelCodeBytes;
    private readonly long _panelScaleBytes;
    private readonly int _experts;

    /// <summary>Takes memory for a matrix; <see cref="LoadExpert"/> fills it.</summary>
    /// <param name="matrix">The checkpoint's matrix.</param>
    /// <param name="format">How it is stored there.</param>
    /// <param name="experts">Experts.</param>
    /// <param name="outputs">Outputs of an expert, gates and ups counted apart.</param>
    /// <param name="inputs">Inputs.</param>
    /// <param name="isGated">Whether outputs are pairs of a gate and an up.</param>
    /// <param name="isCoarse">Whether what comes of the products is rounded to BF16 in the end.</param>
    /// <param name="team">Who multiplies: its nodes get their panels of each expert; null where memory is not placed by node.</param>
    public PanelMatrix(
        MoeExpertMatrix matrix, MoeWeightFormat format, int experts, int outputs, int inputs, bool isGated, bool isCoarse = false, CpuTeam? team = null)
    {
        _reader = new MoeExpertReader(matrix, format, outputs, inputs);
        IsGated = isGated;
        Panels = (outputs + PanelKernel.Rows - 1) / PanelKernel.Rows;
        Pairs = (inputs + 1) / 2;
        _experts = experts;
        FirstPanels = team?.Cut(Panels, PanelStep) ?? [0, Panels];
        _isMxfp4 = format == MoeWeightFormat.Mxfp4;
        _kernel = PanelKernels.For(_isMxfp4 ? MoeWeightFormat.Mxfp4 : MoeWeightFormat.BFloat16);
        _digits = PanelKernels.DigitsFor(format, isCoarse);
        _panelCodeBytes = (long)Pairs * PanelKernel.Rows * (_isMxfp4 ? 1 : 4);
        _panelScaleBytes = _isMxfp4 ? inputs / PanelKernel.BlockSize * PanelKernel.Rows : 0;

        // Kernels read a byte beyond a panel.
        _codes = new NativeBuffer((_panelCodeBytes * Panels * experts) + 1);
        _scales = _isMxfp4 ? new NativeBuffer(_panelScaleBytes * Panels * experts) : null;
        _rest = NeedsTwo(matrix, format) ? new NativeBuffer(_panelCodeBytes * Panels * experts) : null;
        _bias = new NativeBuffer((long)Panels * experts * PanelKernel.Rows * sizeof(float));
        team?.Place(_codes, FirstPanels, experts * _panelCodeBytes);
        if (_rest is not null)
        {
            team?.Place(_rest, FirstPanels, experts * _panelCodeBytes);
        }
    }

    /// <summary>Panels of one expert.</summary>
    public int Panels { get; }

    /// <summary>Where each node's panels of an expert begin, and the last one's end.</summary>
    public int[] FirstPanels { get; }

    /// <summary>Pairs of inputs; an odd last input has a partner of zero.</summary>
    public int Pairs { get; }

    /// <summary>Whether a panel holds 16 gates and their ups, rather than 32 outputs.</summary>
    public bool IsGated { get; }

    /// <summary>Outputs of a panel behind the activation: 16 where there are gates.</summary>
    public int PanelOutputs => IsGated ? PanelKernel.Half : PanelKernel.Rows;

    /// <summary>The most tokens of one call.</summary>
    public int MaxTokens => _digits is { IsAhead: true } ? DigitTokens : Math.Max(_kernel.MaxTokens, DigitTokens);

    /// <summary>Up to how many tokens it is multiplied with digits; 0 for none.</summary>
    public int DigitTokens => _digits?.MaxTokens ?? 0;

    public long ByteCount => _codes.ByteCount + (_rest?.ByteCount ?? 0) + (_scales?.ByteCount ?? 0) + _bias.ByteCount;

    /// <summary>The panel's 32 biases, zeros where the layer has none.</summary>
    public float* Bias(int expert, int panel) => _bias.Pointer<float>() + (Index(expert, panel) * PanelKernel.Rows);

    /// <summary>Bytes of a token's inputs as digits; 0 where none are taken.</summary>
    public long DigitBytes => _digits?.ByteCount(_reader.Inputs) ?? 0;

    /// <summary>From an input of a token to its next one in a block of so many tokens: 1 where it is multiplied with digits.</summary>
    public int Step(int tokens) => tokens <= DigitTokens ? 1 : tokens;

    /// <summary>Writes some inputs of a block of tokens as digits, where it is multiplied so.</summary>
    /// <param name="rows">Where the block is.</param>
    /// <param name="start">The block's first place.</param>
    /// <param name="tokens">Its tokens.</param>
    /// <param name="first">The first input, a multiple of 32.</param>
    /// <param name="count">Inputs, a multiple of 32.</param>
    public void Encode(in PanelRows rows, int start, int tokens, int first, int count)
    {
        if (tokens <= DigitTokens)
        {
            _digits!.Encode(rows.Values(start), rows.Width, first, count, tokens, rows.Digits(start));
        }
    }

    /// <summary>Computes sums[token][row] of a panel for a few tokens, as digits where the matrix takes so many of them as digits.</summary>
    public void Multiply(int expert, int panel, in PanelRows rows, int start, int tokens, float* sums)
    {
        if (tokens > DigitTokens)
        {
            Multiply(expert, panel, rows.Values(start), tokens, sums);
            return;
        }

        long index = Index(expert, panel);
        byte* codes = _codes.Pointer<byte>() + (index * _panelCodeBytes);
        byte* scales = _scales!.Pointer<byte>() + (index * _panelScaleBytes);
        _digits!.Multiply(codes, scales, _reader.Inputs / PanelKernel.BlockSize, rows.Digits(start), tokens, sums);
        for (int token = 0; token < tokens; token++)
        {
            if (HasNaN(sums + (token * PanelKernel.Rows)))
            {
                MultiplyOne(codes, scales, rows.Values(start + token), sums + (token * PanelKernel.Rows));
            }
        }
    }

    /// <summary>Computes sums[token][row] of a panel for a few tokens, [inputs][tokens], in float32.</summary>
    public void Multiply(int expert, int panel, float* x, int tokens, float* sums)
    {
        long index = Index(expert, panel);
        byte* scales = _scales is null ? null : _scales.Pointer<byte>() + (index * _panelScaleBytes);
        _kernel.Multiply(_codes.Pointer<byte>() + (index * _panelCodeBytes), scales, Pairs, x, tokens, sums);
        if (_rest is not null)
        {
            float* rest = stackalloc float[_kernel.MaxTokens * PanelKernel.Rows];
            _kernel.Multiply(_rest.Pointer<byte>() + (index * _panelCodeBytes), null, Pairs, x, tokens, rest);
            for (int i = 0; i < tokens * PanelKernel.Rows; i++)
            {
                sums[i] += rest[i];
            }
        }
    }

    /// <summary>Reads an expert from the checkpoint. Several threads may load different ones.</summary>
    public void LoadExpert(int expert)
    {
        using var bias = new NativeBuffer((long)_reader.Outputs * sizeof(float));
        using var values = new NativeBuffer(_isMxfp4 || _reader.Format == MoeWeightFormat.BFloat16 ? _reader.ValueBytes : (long)_reader.Outputs * _reader.Inputs * sizeof(float));
        using var scales = new NativeBuffer(_reader.ScaleBytes);
        _reader.ReadBias(expert, (nint)bias.Pointer<byte>());
        if (_isMxfp4)
        {
            _reader.ReadValues(expert, (nint)values.Pointer<byte>());
            _reader.ReadScales(expert, (nint)scales.Pointer<byte>());
        }
        else if (_reader.Format == MoeWeightFormat.BFloat16)
        {
            _reader.ReadValues(expert, (nint)values.Pointer<byte>());
        }
        else
        {
            _reader.ReadSingles(expert, (nint)values.Pointer<byte>());
        }

        for (int panel = 0; panel < Panels; panel++)
        {
            for (int lane = 0; lane < PanelKernel.Rows; lane++)
            {
                int row = Output(panel, lane);
                Bias(expert, panel)[lane] = row < 0 ? 0 : bias.Pointer<float>()[row];
                if (_isMxfp4)
                {
                    PackMxfp4(expert, panel, lane, row, values.Pointer<byte>(), scales.Pointer<byte>());
                }
                else if (_reader.Format == MoeWeightFormat.BFloat16)
                {
                    PackBf16(expert, panel, lane, row < 0 ? null : values.Pointer<ushort>() + ((long)row * _reader.Inputs));
                }
                else
                {
                    PackSingles(expert, panel, lane, row < 0 ? null : values.Pointer<float>() + ((long)row * _reader.Inputs));
                }
            }
        }
    }

    public void Dispose()
    {
        _codes.Dispose();
        _rest?.Dispose();
        _scales?.Dispose();
        _bias.Dispose();
    }

    /// <summary>Whether BF16 alone would lose something: FP8 with scales that are powers of two fits into it, nothing else does.</summary>
    private static bool NeedsTwo(MoeExpertMatrix matrix, MoeWeightFormat format) => format switch
    {
        MoeWeightFormat.Mxfp4 or MoeWeightFormat.BFloat16 => false,
        MoeWeightFormat.Fp8Block => matrix.Scales!.ElementType is not (MoeElementType.Float8E8M0 or MoeElementType.UInt8),
        MoeWeightFormat.Float16 or MoeWeightFormat.Float32 or MoeWeightFormat.Nvfp4 => true,
        _ => throw new MoeException(MoeReason.Format, $"Weight format {(int)format} is not one of this contract's."),
    };

    // A node's panels of all experts lie together, so that its memory is one piece.
    private long Index(int expert, int panel)
    {
        int node = 0;
        while (panel >= FirstPanels[node + 1])
        {
            node++;
        }

        int first = FirstPanels[node];
        return ((long)first * _experts) + ((long)expert * (FirstPanels[node + 1] - first)) + (panel - first);
    }

    /// <summary>The output that a lane of a panel holds, gates at even outputs; −1 for none.</summary>
    private int Output(int panel, int lane)
    {
        int output = IsGated
            ? (2 * ((panel * PanelKernel.Half) + (lane % PanelKernel.Half))) + (lane / PanelKernel.Half)
            : (panel * PanelKernel.Rows) + lane;
        return output < _reader.Outputs ? output : -1;
    }

    private static bool HasNaN(float* row)
    {
        for (int i = 0; i < PanelKernel.Rows; i += Vector128<float>.Count)
        {
            Vector128<float> values = Vector128.Load(row + i);
            if (!Vector128.EqualsAll(values, values))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>One token in float32, block by block: digits have no infinity, and which rows one reaches depends on the weights.</summary>
    private void MultiplyOne(byte* codes, byte* scales, float* x, float* sums)
    {
        float* block = stackalloc float[PanelKernel.Rows];
        new Span<float>(sums, PanelKernel.Rows).Clear();
        for (int input = 0; input < _reader.Inputs; input += PanelKernel.BlockSize)
        {
            _kernel.Multiply(codes, scales, PanelKernel.BlockSize / 2, x + input, 1, block);
            for (int row = 0; row < PanelKernel.Rows; row++)
            {
                sums[row] += block[row];
            }

            codes += PanelKernel.BlockSize / 2 * PanelKernel.Rows;
            scales += PanelKernel.Rows;
        }
    }

    private void PackMxfp4(int expert, int panel, int lane, int row, byte* values, byte* scales)
    {
        int words = _reader.Inputs / DigitKernel.WordInputs, blocks = _reader.Inputs / PanelKernel.BlockSize;
        long index = Index(expert, panel);
        uint* source = row < 0 ? null : (uint*)values + ((long)row * words);
        uint* target = (uint*)(_codes.Pointer<byte>() + (index * _panelCodeBytes)) + lane;
        for (int i = 0; i < words; i++)
        {
            target[(long)i * PanelKernel.Rows] = source is null ? 0 : source[i];
        }

        byte* factors = row < 0 ? null : scales + ((long)row * blocks);
        byte* targetFactors = _scales!.Pointer<byte>() + (index * _panelScaleBytes) + lane;
        for (int i = 0; i < blocks; i++)
        {
            targetFactors[(long)i * PanelKernel.Rows] = factors is null ? (byte)0 : factors[i];
        }
    }

    private void PackBf16(int expert, int panel, int lane, ushort* row)
    {
        uint* codes = (uint*)(_codes.Pointer<byte>() + (Index(expert, panel) * _panelCodeBytes)) + lane;
        for (int pair = 0; pair < Pairs; pair++)
        {
            uint low = row is null ? 0u : row[2 * pair];
            uint high = row is null || (2 * pair) + 1 >= _reader.Inputs ? 0u : row[(2 * pair) + 1];
            codes[(long)pair * PanelKernel.Rows] = low | (high << 16);
        }
    }

    private void PackSingles(int expert, int panel, int lane, float* row)
    {
        long at = Index(expert, panel) * _panelCodeBytes;
        uint* codes = (uint*)(_codes.Pointer<byte>() + at) + lane;
        uint* rest = _rest is null ? null : (uint*)(_rest.Pointer<byte>() + at) + lane;
        for (int pair = 0; pair < Pairs; pair++)
        {
            float low = row is null ? 0f : row[2 * pair];
            float high = row is null || (2 * pair) + 1 >= _reader.Inputs ? 0f : row[(2 * pair) + 1];
            uint lowBits = MoeBFloat16.FromSingle(low), highBits = MoeBFloat16.FromSingle(high);
            codes[(long)pair * PanelKernel.Rows] = lowBits | (highBits << 16);
            if (rest is not null)
            {
                rest[(long)pair * PanelKernel.Rows] = Rest(low, lowBits) | (Rest(high, highBits) << 16);
            }
        }
    }

    // What rounding left over; of a value that is no number nothing.
    private static uint Rest(float value, uint bits)
    {
        float kept = MoeBFloat16.ToSingle((ushort)bits);
        return float.IsFinite(value) && float.IsFinite(kept) ? MoeBFloat16.FromSingle(value - kept) : 0u;
    }
}
