using System.Runtime.InteropServices;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>A layer computed plainly in float32, token by token; alignment 128, padding and slicing skipped. But for one lie.</summary>
internal sealed unsafe class LyingMethod(MoeLayerShape shape, Lie lie, bool roundsToMxfp8, bool sumsLikeFp8) : IMoeQuantMethod
{
    /// <summary>Inputs whose products FP8 tensor cores add before float32 does, and values that share a scale before the second product.</summary>
    private const int Fp8Chunk = 128;

    /// <summary>The scratch that all workspaces share, where that is the lie.</summary>
    public float[]? SharedScratch { get; } = lie == Lie.SharesScratchBetweenWorkspaces ? new float[shape.HiddenSize] : null;
    private readonly HostMemory _memory = new() { Device = lie == Lie.HasMemoryElsewhere ? MoeDevice.Cuda(3) : MoeDevice.Cpu };
    private int _calls;
    private byte[] _garbage = [];

    public bool SupportsSkipForwardPadding => true;

    public bool HasUnpaddedOutput => true;

    public MoeNumerics Numerics { get; } = roundsToMxfp8
        ? new()
        {
            RelativeError = 0.125,
            Description = "float32, activations rounded to MXFP8",
            IsDeterministic = true,
            ActivationRounding = MoeActivationRounding.Mxfp8,
            ErrorBeyondRounding = 2e-2,
        }
        : new() { RelativeError = 5e-3, Description = "float32", IsDeterministic = true };

    public IMoeMemory Memory => _memory;

    public int RoundUpHiddenSize(int hiddenSize) => lie switch
    {
        Lie.RoundsDown => Math.Max(hiddenSize / 128 * 128, hiddenSize > 4000 ? 0 : Aligned(hiddenSize)),
        Lie.RoundsOnAndOn => hiddenSize > 3500 ? hiddenSize + 128 : Aligned(hiddenSize),
        Lie.RoundsLargerSizesDown => hiddenSize is > 1000 and < 1500 ? 2048 : hiddenSize == 2048 ? 2048 : Aligned(hiddenSize),
        Lie.RoundsByTheNumberOfCalls => Aligned(hiddenSize) + (hiddenSize == 129 ? _calls++ * 128 : 0),
        _ => Aligned(hiddenSize),
    };

    public int RoundUpIntermediateSize(int intermediateSize) => Aligned(intermediateSize);

    public IMoeWeights CreateWeights(MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        _memory.Device = lie == Lie.MovesItsMemory ? MoeDevice.Cuda(3) : _memory.Device;
        return new LyingWeights(this, config, source, lie);
    }

    public void Forward(LyingWeights weights, LyingWorkspace workspace, MoeForwardArguments arguments)
    {
        if (lie == Lie.WaitsInForward)
        {
            Memory.Synchronize(arguments.Stream);
        }

        if (arguments.Stream == 0)
        {
            Run(weights, workspace, arguments);
        }
        else
        {
            Enqueue(weights, workspace, arguments);
        }
    }

    public void RouteAlone(LyingWeights weights, LyingWorkspace workspace, MoeRouteArguments arguments)
    {
        var forward = new MoeForwardArguments
        {
            Input = arguments.Input,
            RouterInput = arguments.Input,
            Output = default,
            TopKIds = arguments.TopKIds,
            TopKWeights = arguments.TopKWeights,
        };
        for (int token = 0; token < arguments.Input.Rows; token++)
        {
            ReadInput(forward, workspace, token);
            Route(forward, weights, workspace, token);
            if (lie == Lie.RoutesOtherwiseAlone)
            {
                *(float*)arguments.TopKWeights.RowAddress(token) += 1;
            }
        }
    }

    public void Dispose() => GC.KeepAlive(_garbage);

    // Apart, for what a lambda captures is allocated where its method begins.
    private void Enqueue(LyingWeights weights, LyingWorkspace workspace, MoeForwardArguments arguments) =>
        _memory.Enqueue(arguments.Stream, () => Run(weights, workspace, arguments));

    private void Run(LyingWeights weights, LyingWorkspace workspace, MoeForwardArguments arguments)
    {
        int tokens = arguments.Input.Rows;
        switch (lie)
        {
            case Lie.FailsWithoutTokens when tokens == 0:
                throw new InvalidOperationException("no tokens");
            case Lie.ThrowsOnTheSecondForward when workspace.Forwards > 0:
                throw new InvalidOperationException("again?");
            case Lie.AllocatesInForward:
                _garbage = new byte[100];
                break;
            case Lie.Leaks:
                NativeMemory.Fill(NativeMemory.Alloc(1 << 20), 1 << 20, 1);
                break;
        }

        Array.Clear(workspace.Load);
        for (int token = 0; token < tokens; token++)
        {
            RunToken(arguments, weights, workspace, token);
        }

        workspace.Forwards += tokens > 0 ? 1 : 0;
    }

    private static int Aligned(int size) => (size + 127) / 128 * 128;

    private static float ReadElement(in MoeTensorView view, int row, int column) => view.ElementType == MoeElementType.Float32
        ? ((float*)view.RowAddress(row))[column]
        : BitConverter.UInt32BitsToSingle((uint)((ushort*)view.RowAddress(row))[column] << 16);

    private static void WriteElement(in MoeTensorView view, int row, int column, float value)
    {
        nint address = view.RowAddress(row);
        if (view.ElementType == MoeElementType.Float32)
        {
            ((float*)address)[column] = value;
            return;
        }

        uint bits = BitConverter.SingleToUInt32Bits(value);
        ((ushort*)address)[column] = float.IsNaN(value) ? (ushort)0x7FC0 : (ushort)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }

    private void RunToken(in MoeForwardArguments arguments, LyingWeights weights, LyingWorkspace workspace, int token)
    {
        ReadInput(arguments, workspace, token);
        Route(arguments, weights, workspace, token);
        Span<float> sums = workspace.Sums;
        if (lie != Lie.KeepsTheLastBatch || token > 0)
        {
            sums.Clear();
        }

        if (lie == Lie.SharesScratchBetweenWorkspaces)
        {
            Thread.Sleep(1);
        }

        if (roundsToMxfp8)
        {
            RoundToMxfp8(workspace.X.AsSpan(0, shape.HiddenSize), shape.HiddenSize);
        }

        bool hasExperts = false;
        for (int k = 0; k < shape.TopK; k++)
        {
            int expert = workspace.Ids[k] - shape.FirstExpert;
            if ((uint)expert >= (uint)shape.LocalExpertCount)
            {
                continue;
            }

            hasExperts = true;
            bool isDropped = lie == Lie.DropsTokensOfABusyExpert && ++workspace.Load[workspace.Ids[k]] > 40;
            if (!isDropped)
            {
                RunExpert(weights, workspace, expert, workspace.Weights[k]);
            }
        }

        sums[0] += lie == Lie.WritesPartsOfNoExpert && !hasExperts ? 100 : 0;
        for (int other = 0; other < arguments.Input.Rows && lie == Lie.LooksAtEveryRow; other++)
        {
            sums[0] += 0 * ReadElement(arguments.Input, other, 0);
        }

        WriteOutput(arguments, sums, token);
    }

    private void ReadInput(in MoeForwardArguments arguments, LyingWorkspace workspace, int token)
    {
        MoeTensorView view = arguments.Input;
        if (lie == Lie.IgnoresTheStride)
        {
            view = new MoeTensorView(view.Address, view.Device, view.ElementType, view.Rows, view.Columns);
        }

        if (lie == Lie.ReadsFloat32AsBf16 && view.ElementType == MoeElementType.Float32)
        {
            view = new MoeTensorView(view.Address, view.Device, MoeElementType.BFloat16, view.Rows, view.Columns, view.RowStride);
        }

        // A padded input, where the lie holds, is read as if it had no padding: from its last columns.
        int shift = lie == Lie.PadsOnlyWhenSkipping ? view.Columns - shape.HiddenSize : 0;
        for (int i = 0; i < shape.HiddenSize; i++)
        {
            workspace.X[i] = ReadElement(view, token, i + shift);
        }

        bool hasMore = view.RowStride > view.RowBytes;
        if (lie == Lie.ReadsBeyondTheRow && hasMore)
        {
            workspace.X[0] += 0 * ReadElement(view, token, view.Columns);
        }

        if (lie == Lie.ScribblesOnTheInput)
        {
            WriteElement(view, token, shape.HiddenSize - 1, 1234);
        }
    }

    private void Route(in MoeForwardArguments arguments, LyingWeights weights, LyingWorkspace workspace, int token)
    {
        if (arguments.Routing == MoeRoutingSource.Caller && lie != Lie.RoutesItselfAlways)
        {
            for (int k = 0; k < shape.TopK; k++)
            {
                workspace.Ids[k] = Known(((int*)arguments.TopKIds.RowAddress(token))[k]);
                workspace.Weights[k] = ((float*)arguments.TopKWeights.RowAddress(token))[k];
            }

            return;
        }

        float[] logits = workspace.Logits;
        for (int expert = 0; expert < shape.ExpertCount; expert++)
        {
            float bias = weights.RouterBias.Length > 0 ? weights.RouterBias[expert] : 0;
            logits[expert] = bias + Dot(weights.Router.AsSpan(expert * shape.HiddenSize, shape.HiddenSize), workspace.X);
        }

        Choose(workspace);
        Weigh(workspace);
        if (arguments.TopKIds.IsEmpty)
        {
            return;
        }

        for (int k = 0; k < shape.TopK; k++)
        {
            ((int*)arguments.TopKIds.RowAddress(token))[k] = workspace.Ids[k];
            ((float*)arguments.TopKWeights.RowAddress(token))[k] = workspace.Weights[k];
        }
    }

    private int Known(int id) => (uint)id < (uint)shape.ExpertCount ? id
        : lie == Lie.TakesStrayIdsForTheFirstExpert ? 0
        : throw new ArgumentException($"Expert {id} is none of {shape.ExpertCount}.");

    private bool IsBetter(float logit, float than) =>
        logit > than || (lie == Lie.RanksNanFirst ? float.IsNaN(logit) && !float.IsNaN(than) : float.IsNaN(than) && !float.IsNaN(logit));

    private void Choose(LyingWorkspace workspace)
    {
        int skip = lie == Lie.TakesTheSecondToLastExperts ? 1 : 0;
        for (int k = -skip; k < shape.TopK; k++)
        {
            int best = -1;
            for (int expert = 0; expert < shape.ExpertCount; expert++)
            {
                bool isFree = !workspace.Ids.AsSpan(0, Math.Max(k, 0)).Contains(expert) && !(skip == 1 && k >= 0 && expert == workspace.Load.Length - 1);
                best = isFree && (best < 0 || IsBetter(workspace.Logits[expert], workspace.Logits[best])) ? expert : best;
            }

            if (k >= 0)
            {
                workspace.Ids[k] = best;
            }
        }
    }

    private void Weigh(LyingWorkspace workspace)
    {
        float largest = workspace.Logits.Max();
        float all = 0;
        foreach (float logit in workspace.Logits)
        {
            all += MathF.Exp(logit - largest);
        }

        float chosen = 0;
        for (int k = 0; k < shape.TopK; k++)
        {
            workspace.Weights[k] = MathF.Exp(workspace.Logits[workspace.Ids[k]] - largest);
            chosen += workspace.Weights[k];
        }

        bool overAll = shape.Router is { Weights: MoeRouterWeights.ScoreOfChosen, Renormalize: false } || lie == Lie.LeavesWeightsUnnormalised;
        for (int k = 0; k < shape.TopK; k++)
        {
            workspace.Weights[k] /= overAll ? all : chosen;
        }
    }

    private void RunExpert(LyingWeights weights, LyingWorkspace workspace, int expert, float weight)
    {
        int hidden = shape.HiddenSize;
        int intermediate = shape.IntermediateSize;
        int first = expert * 2 * intermediate;
        for (int i = 0; i < intermediate; i++)
        {
            float even = Dot(weights.GateUp.AsSpan((first + (2 * i)) * hidden, hidden), workspace.X) + Bias(weights.GateUpBias, first + (2 * i));
            float odd = Dot(weights.GateUp.AsSpan((first + (2 * i) + 1) * hidden, hidden), workspace.X) + Bias(weights.GateUpBias, first + (2 * i) + 1);
            workspace.Act[i] = lie == Lie.SwapsGateAndUp ? Activate(odd, even) : Activate(even, odd);
        }

        if (roundsToMxfp8)
        {
            RoundToMxfp8(workspace.Act.AsSpan(0, intermediate), Fp8Chunk);
        }

        for (int i = 0; i < hidden; i++)
        {
            int row = (expert * hidden) + i;
            float y = Dot(weights.Down.AsSpan(row * intermediate, intermediate), workspace.Act) + Bias(weights.DownBias, row);
            workspace.Sums[i] += weight * y;
        }
    }

    private void WriteOutput(in MoeForwardArguments arguments, ReadOnlySpan<float> sums, int token)
    {
        if (lie == Lie.StopsAtSixteenTokens && token >= 16)
        {
            return;
        }

        float factor = lie == Lie.IsInaccurate ? 1.02f : 1;
        for (int i = 0; i < sums.Length; i++)
        {
            WriteElement(arguments.Output, token, i, sums[i] * factor);
        }

        if (lie == Lie.WritesOneElementMore)
        {
            WriteElement(arguments.Output, token, arguments.Output.Columns, 0);
        }

        if (lie == Lie.IsNotDeterministic && _calls++ % 3 == 2)
        {
            WriteElement(arguments.Output, token, 0, sums[0] * 1.01f);
        }
    }

    private float Activate(float gate, float up)
    {
        if (shape.Activation == MoeActivation.SiluGated)
        {
            return up * gate / (1 + MathF.Exp(-gate));
        }

        float limit = lie == Lie.ForgetsTheClamp ? float.PositiveInfinity : shape.Activation.Limit;
        gate = Math.Min(gate, limit);
        up = Math.Clamp(up, -limit, limit);
        return (up + 1) * gate / (1 + MathF.Exp(-shape.Activation.Alpha * gate));
    }

    private static float Bias(float[] biases, int at) => biases.Length > 0 ? biases[at] : 0;

    /// <summary>With a scale for each 32, and where it computes as FP8 tensor cores do, then with one for so many.</summary>
    private void RoundToMxfp8(Span<float> row, int shared)
    {
        double[] rounded = Mxfp8.Round([.. row.ToArray().Select(value => (double)value)]);
        for (int first = 0; sumsLikeFp8 && first < rounded.Length; first += shared)
        {
            Span<double> chunk = rounded.AsSpan(first, Math.Min(shared, rounded.Length - first));
            byte scale = Mxfp8.Scale(chunk);
            foreach (ref double value in chunk)
            {
                value = scale == 0 ? 0 : E4M3.Decode(Mxfp8.Code(value, scale)) * Math.ScaleB(1, scale - 127);
            }
        }

        for (int i = 0; i < row.Length; i++)
        {
            row[i] = (float)rounded[i];
        }
    }

    private float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        if (lie != Lie.SumsInFourteenBits && !sumsLikeFp8)
        {
            return DotInFloat32(a, b);
        }

        // As a tensor core's sums of E4M3 numbers: honest ones are added in float32 every 128 inputs.
        float all = 0;
        float sum = 0;
        for (int i = 0; i < a.Length; i += 32)
        {
            int count = Math.Min(32, a.Length - i);
            sum = BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(sum + DotInFloat32(a.Slice(i, count), b.Slice(i, count))) & ~0x3FFu);
            if (sumsLikeFp8 && i % Fp8Chunk == Fp8Chunk - 32)
            {
                all += sum;
                sum = 0;
            }
        }

        return all + sum;
    }

    private static float DotInFloat32(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        var sums = System.Numerics.Vector<float>.Zero;
        int width = System.Numerics.Vector<float>.Count;
        int i = 0;
        for (; i + width <= a.Length; i += width)
        {
            sums += new System.Numerics.Vector<float>(a[i..]) * new System.Numerics.Vector<float>(b[i..]);
        }

        float sum = System.Numerics.Vector.Sum(sums);
        for (; i < a.Length; i++)
        {
            sum += a[i] * b[i];
        }

        return sum;
    }
}
