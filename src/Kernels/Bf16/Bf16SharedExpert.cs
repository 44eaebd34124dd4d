using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Shared experts with BF16 weights for few tokens, in one launch: <c>shared_expert.cu</c>.</summary>
internal sealed class Bf16SharedExpert
{
    /// <summary>The most tokens.</summary>
    public const int MaxTokens = 16;

    /// <summary>32-bit words that count what the launch has done, zero before the first.</summary>
    public const int Counters = 2 + (MaxTokens / TokensPerColumnTile);

    private const int Threads = 256;
    private const int RowsPerWarp = 16;
    private const int TokensPerColumnTile = 8;

    /// <summary>Column tiles of a tile of tokens, as the kernel is compiled for few and for more.</summary>
    private const int FewColumnTiles = 1;
    private const int ManyColumnTiles = 2;

    /// <summary>What a wave of tiles may lack of a full one, for rows that are shared by more tokens.</summary>
    private const double FullEnough = 0.9;

    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly CudaFunction _few;
    private readonly CudaFunction _many;
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
        _few = library.Get(Unit, Entry(FewColumnTiles, activation), besideProducts: true);
        _many = library.Get(Unit, Entry(ManyColumnTiles, activation), besideProducts: true);
    }

    /// <summary>The source.</summary>
    public static KernelUnit Unit { get; } = new(
        "shared_expert.cu",
        [.. ActivationConstants.Types.SelectMany(type => new[] { Entry(FewColumnTiles, type), Entry(ManyColumnTiles, type) })]);

    /// <summary>Enqueues both products, and the gate where there is one.</summary>
    /// <param name="x">The tokens, at most <see cref="MaxTokens"/>.</param>
    /// <param name="weights">The weights.</param>
    /// <param name="gate">[hidden] float32, or 0.</param>
    /// <param name="opened">[tokens] float32: where it goes how far the gate opens.</param>
    /// <param name="workspace">Where results go.</param>
    /// <param name="counters"><see cref="Counters"/> words.</param>
    /// <param name="stream">The stream, of which this is the first launch since it waited for another.</param>
    public PartialLayout Run(
        in ExpertRows x, Bf16Weights weights, nint gate, nint opened, Bf16Workspace workspace, nint counters, nint stream)
    {
        int columnTiles = x.Tokens <= TokensPerColumnTile ? FewColumnTiles : ManyColumnTiles;
        int tokenTile = columnTiles * TokensPerColumnTile;
        int tokenTiles = (x.Tokens + tokenTile - 1) / tokenTile;
        int rowWarps = RowWarps(weights.GateUp.Rows, tokenTiles);
        int tiles = (Tiles(weights.GateUp.Rows, rowWarps) + Tiles(weights.Down.Rows, rowWarps)) * tokenTiles;
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
            RowWarps = rowWarps,
            Activation = _activation,
        };
        var launch = new CudaLaunchConfig(Math.Min(tiles, _multiprocessors), Threads);
        (columnTiles == FewColumnTiles ? _few : _many).Launch(launch, stream, in parameters);
        return new PartialLayout(1, IsBf16: false);
    }

    private static string Entry(int columnTiles, string activation) => $"moe_shared_expert<{columnTiles}, {activation}>";

    private static int Tiles(int rows, int rowWarps) => (rows + (RowsPerWarp * rowWarps) - 1) / (RowsPerWarp * rowWarps);

    // Warps that have other rows of the same tokens save reading these, as long as there are tiles for all multiprocessors.
    private int RowWarps(int rows, int tokenTiles)
    {
        int warps = 4;
        while (warps > 1 && Tiles(rows, warps) * tokenTiles < FullEnough * _multiprocessors)
        {
            warps /= 2;
        }

        return warps;
    }

    /// <summary><c>SharedExpertParameters</c> of <c>shared_expert.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Parameters
    {
        public nint X;
        public nint Up;
        public nint Down;
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
