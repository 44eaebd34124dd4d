using System.Runtime.InteropServices;
using Moe.Plugins;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Contoso.MyBackend;

/// <summary>How this backend runs a layer: BF16 weights, both products by one plain kernel. It pads nothing.</summary>
internal sealed class Method(Func<KernelLibrary> library, MoeLayerShape shape) : CudaMethod(library)
{
    /// <summary>The source that it compiles.</summary>
    public static KernelUnit Unit { get; } = new("product.cu", [.. ActivationConstants.Types.Select(GateUpEntry)]);

    public override bool SupportsSkipForwardPadding => true;

    public override bool HasUnpaddedOutput => true;

    public override MoeNumerics Numerics { get; } = new()
    {
        RelativeError = RelativeErrorOf(shape),
        Description = "BF16 activations and weights, float32 sums",
        IsDeterministic = true,
    };

    // A backend whose kernels want multiples of something rounds here, and nowhere else.
    public override int RoundUpHiddenSize(int hiddenSize) => hiddenSize;

    public override int RoundUpIntermediateSize(int intermediateSize) => intermediateSize;

    private static string GateUpEntry(string activation) => $"product_gate_up<{activation}>";

    protected override CudaExperts CreateExperts(KernelLibrary library, MoeLayerShape shape) => new Experts(library, shape);

    /// <summary>Loads the experts, and enqueues their products: router and sort come before, the weighted sum after.</summary>
    private sealed class Experts(KernelLibrary library, MoeLayerShape shape) : CudaExperts
    {
        // kBlockTokens and kThreads of product.cu.
        private const int BlockTokens = 8;
        private const int Threads = 256;
        private const int BlocksPerMultiprocessor = 4;

        private readonly CudaFunction _gateUp = library.Get(Unit, GateUpEntry(ActivationConstants.TypeOf(shape.Activation)));
        private readonly CudaFunction _down = library.Get(Unit, "product_down");
        private readonly int _blocks = BlocksPerMultiprocessor * library.Context.Device.MultiprocessorCount;

        public override CudaWeights LoadWeights(
            MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
            Weights.Load(library, shape, source, progress, cancellationToken);

        public override CudaWorkspace CreateWorkspace(MoeLayerConfig config) => new Workspace(library.Context, config);

        public override int BlockRows(int tokens) => BlockTokens;

        public override PartialLayout Run(in ExpertRows rows, CudaWeights weights, CudaWorkspace workspace, nint stream)
        {
            var layer = (Weights)weights;
            var buffers = (Workspace)workspace;
            CudaLaunchConfig launch = library.Launch(_blocks, Threads);
            var parameters = new Parameters
            {
                X = rows.Address,
                Weight = layer.GateUp,
                Bias = layer.GateUpBias,
                Out = buffers.Act,
                SortedPairs = buffers.Routing.SortedPairs,
                RowBlocks = buffers.Routing.RowBlocks,
                RowBlockCount = buffers.Routing.RowBlockCount,
                XStride = rows.Stride,
                Outputs = shape.GateUpSize,
                Inputs = shape.HiddenSize,
                TopK = shape.TopK,
                Activation = ActivationConstants.Of(shape.Activation),
            };
            _gateUp.Launch(launch, stream, in parameters);

            // The second product's bias is added with the weighted sum.
            parameters.X = buffers.Act;
            parameters.Weight = layer.Down;
            parameters.Bias = 0;
            parameters.Out = buffers.PartialResults;
            parameters.XStride = shape.IntermediateSize;
            parameters.Outputs = shape.HiddenSize;
            parameters.Inputs = shape.IntermediateSize;
            _down.Launch(launch, stream, in parameters);
            return new PartialLayout(Splits: 1, IsBf16: false);
        }
    }

    /// <summary>A layer's weights on the device: BF16 [experts, outputs, inputs], a neuron's gate before its up; biases float32.</summary>
    private sealed class Weights : CudaWeights
    {
        private readonly Lock _lock = new();
        private MoeRoundingSums _rounding;
        private nint _downBias;

        private Weights(CudaContext context, MoeLayerShape shape)
            : base(context)
        {
            GateUp = Allocate(shape.LocalExpertCount * BytesOf(shape.GateUpSize, shape.HiddenSize));
            Down = Allocate(shape.LocalExpertCount * BytesOf(shape.HiddenSize, shape.IntermediateSize));
        }

        public nint GateUp { get; }

        public nint Down { get; }

        public nint GateUpBias { get; private set; }

        public override nint OutputBias => _downBias;

        public static Weights Load(
            KernelLibrary library, MoeLayerShape shape, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
            Load(new Weights(library.Context, shape), weights =>
            {
                var gateUp = new MoeExpertReader(source.GateUp, shape.WeightFormat, shape.GateUpSize, shape.HiddenSize);
                var down = new MoeExpertReader(source.Down, shape.WeightFormat, shape.HiddenSize, shape.IntermediateSize);
                int experts = shape.LocalExpertCount;
                weights.GateUpBias = ExpertPieces.AllocateBias(weights, gateUp, experts);
                weights._downBias = ExpertPieces.AllocateBias(weights, down, experts);
                library.Lanes.Load(
                    [
                        .. weights.Pieces(gateUp, experts, weights.GateUp, weights.GateUpBias),
                        .. weights.Pieces(down, experts, weights.Down, weights._downBias),
                    ],
                    progress,
                    cancellationToken);
                weights.RoundingError = weights._rounding.RelativeError;
            });

        // Whatever the checkpoint has, in the one order that the kernel reads. Several threads read.
        private IEnumerable<WeightPiece> Pieces(MoeExpertReader reader, int experts, nint target, nint bias)
        {
            long bytes = BytesOf(reader.Outputs, reader.Inputs);
            return ExpertPieces.Of(
                reader,
                experts,
                bias,
                bytes,
                (expert, host) =>
                {
                    MoeRoundingSums sums = reader.ReadBFloat16(expert, host);
                    lock (_lock)
                    {
                        _rounding += sums;
                    }
                },
                (expert, device, stream) => CudaMemory.Copy(target + (nint)(expert * bytes), device, bytes, stream));
        }

        private static long BytesOf(int outputs, int inputs) => (long)outputs * inputs * sizeof(ushort);
    }

    /// <summary>The buffers of one stream's forwards.</summary>
    private sealed class Workspace : CudaWorkspace
    {
        public Workspace(CudaContext context, MoeLayerConfig config)
            : base(context, config)
        {
            Act = Allocate((long)MaxPairs * config.Shape.IntermediateSize * sizeof(ushort));
            PartialResults = Allocate((long)MaxPairs * config.Shape.HiddenSize * sizeof(float));
        }

        /// <summary>[sorted pairs, intermediate] BF16.</summary>
        public nint Act { get; }

        /// <summary>[pairs, hidden] float32.</summary>
        public override nint PartialResults { get; }
    }

    /// <summary><c>ProductParameters</c> of <c>product.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Parameters
    {
        public nint X;
        public nint Weight;
        public nint Bias;
        public nint Out;
        public nint SortedPairs;
        public nint RowBlocks;
        public nint RowBlockCount;
        public long XStride;
        public int Outputs;
        public int Inputs;
        public int TopK;
        public ActivationConstants Activation;
    }
}
