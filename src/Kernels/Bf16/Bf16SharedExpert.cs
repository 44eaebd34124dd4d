using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Shared experts for few tokens, with BF16 weights or FP8's, in one launch: <c>shared_expert.cu</c>.</summary>
internal sealed class Bf16SharedExpert
{
    /// <summary>32-bit words that count what the launch has done, zero before the first.</summary>
    public const int Counters = 2 + (FewTokensTiles.MaxTokens / FewTokensTiles.TokensPerColumnTile);

    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly CudaFunction _few;
    private readonly CudaFunction _many;
    private readonly CudaFunction? _codes;
    private readonly int _multiprocessors;

    /// <summary>Gets the kernels.</summary>
    /// <param name="library">The backend's kernels; its context must be current.</param>
    /// <param name="shape">Of <see cref="LayerNetworks.SharedOf"/>.</param>
    public Bf16SharedExpert(KernelLibrary library, MoeLayerShape shape)
    {
        string activation = ActivationConstants.TypeOf(shape.Activation);
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _multiprocessors = library.Context.Device.MultiprocessorCount;
        _few = Get(1, isE4M3: false);
        _many = Get(2, isE4M3: false);
        _codes = shape.WeightFormat == MoeWeightFormat.Fp8Block ? Get(1, isE4M3: true) : null;

        CudaFunction Get(int columnTiles, bool isE4M3) => library.Get(
            Unit, Entry(columnTiles, activation, isE4M3), FewTokensTiles.SharedBytes(columnTiles, isE4M3), besideProducts: true);
    }

    /// <summary>The source.</summary>
    public static KernelUnit Unit { get; } = new(
        "shared_expert.cu",
        [.. ActivationConstants.Types.SelectMany(type => new[] { Entry(1, type, isE4M3: false), Entry(2, type, isE4M3: false), Entry(1, type, isE4M3: true) })]);

    /// <summary>Whether so many tokens run this way.</summary>
    public bool Runs(int tokens) => FewTokensTiles.Suit(tokens, (_shape.GateUpSize + _shape.IntermediateSize) * (long)_shape.HiddenSize * sizeof(ushort));

    /// <summary>Enqueues both products, and the gate where there is one.</summary>
    /// <param name="x">The tokens, as many as <see cref="Runs"/> allows.</param>
    /// <param name="weights">The weights.</param>
    /// <param name="codes">The same as they are stored in FP8, first and second product's; null where they are not.</param>
    /// <param name="gate">[hidden] float32, or 0.</param>
    /// <param name="opened">[tokens] float32: where it goes how far the gate opens.</param>
    /// <param name="workspace">Where results go.</param>
    /// <param name="counters"><see cref="Counters"/> words.</param>
    /// <param name="stream">The stream, of which this is the first launch since it waited for another.</param>
    public PartialLayout Run(
        in ExpertRows x, Bf16Weights weights, (E4M3Matrix Up, E4M3Matrix Down)? codes, nint gate, nint opened, Bf16Workspace workspace, nint counters, nint stream)
    {
        FewTokensTiles of = FewTokensTiles.For(weights.GateUp.Rows, x.Tokens, _multiprocessors, codes is null ? 2 : 1);
        int tiles = of.Count(weights.GateUp.Rows) + of.Count(weights.Down.Rows);
        var parameters = new Parameters
        {
            X = x.Address,
            Up = weights.GateUp.Weight,
            Down = weights.Down.Weight,
            UpFactor = weights.GateUp.Factors,
            DownFactor = weights.Down.Factors,
            Gate = gate,
            Act = workspace.Act,
            Out = workspace.PartialResults,
            Opened = opened,
            Counters = counters,
            XStride = x.Stride,
            Tokens = x.Tokens,
            Hidden = _shape.HiddenSize,
            Intermediate = _shape.IntermediateSize,
            RowWarps = of.RowWarps,
            Activation = _activation,
        };
        if (codes is { } stored)
        {
            parameters.Up = stored.Up.Codes;
            parameters.UpScales = stored.Up.Scales;
            parameters.Down = stored.Down.Codes;
            parameters.DownScales = stored.Down.Scales;
        }

        var launch = new CudaLaunchConfig(
            Math.Min(tiles, _multiprocessors), FewTokensTiles.Threads, FewTokensTiles.SharedBytes(of.ColumnTiles, codes is not null));
        CudaFunction function = codes is not null ? _codes! : of.ColumnTiles == 1 ? _few : _many;
        function.Launch(launch, stream, in parameters);
        return new PartialLayout(1, IsBf16: false);
    }

    private static string Entry(int columnTiles, string activation, bool isE4M3) => $"moe_shared_expert<{columnTiles}, {activation}, {(isE4M3 ? "true" : "false")}>";

    /// <summary><c>SharedExpertParameters</c> of <c>shared_expert.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Parameters
    {
        public nint X;
        public nint Up;
        public nint Down;
        public nint UpScales;
        public nint DownScales;
        public nint UpFactor;
        public nint DownFactor;
        public nint Gate;
        public nint Act;
        public nint Out;
        public nint Opened;
        public nint Counters;
        public long XStride;
        public int Tokens;
        public int Hidden;
        public int Intermediate;
        public int RowWarps;
        public int Reserved;
        public ActivationConstants Activation;
    }
}
