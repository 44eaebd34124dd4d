using System.Runtime.InteropServices;

namespace Moe.Plugins.Tests;

/// <summary>A layer of sizes that no alignment divides, and weights for it: all zero, for nobody here multiplies.</summary>
internal static unsafe class TinyLayer
{
    private static readonly nint Zeros = (nint)NativeMemory.AllocZeroed(4096);

    public static MoeLayerShape Shape { get; } = new()
    {
        HiddenSize = 5,
        IntermediateSize = 3,
        ExpertCount = 4,
        TopK = 2,
        WeightFormat = MoeWeightFormat.BFloat16,
        HasExpertBias = false,
        Router = MoeRouter.TopKThenSoftmax,
    };

    public static MoeLayerOptions Options { get; } = new()
    {
        MaxTokens = 4,
        InputType = MoeElementType.Float32,
        OutputType = MoeElementType.Float32,
    };

    public static MoeLayerRequest Request { get; } = new() { Name = "model.layers.3.mlp", Shape = Shape, Options = Options };

    public static MoeTensorView Values => View(4, 6, 5);

    public static MoeWeightSource Weights { get; } = new()
    {
        RouterWeight = View(1, 4, 5),
        GateUp = new MoeExpertMatrix { Values = View(4, 6, 5) },
        Down = new MoeExpertMatrix { Values = View(4, 5, 3) },
    };

    private static MoeTensorView View(int planes, int rows, int columns) =>
        new(Zeros, MoeDevice.Cpu, MoeElementType.BFloat16, rows, columns, planes: planes);
}
