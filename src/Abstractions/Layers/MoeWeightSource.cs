namespace Moe.Plugins;

/// <summary>
/// A layer's weights where the checkpoint has them, in host memory, unpadded. The views are valid until
/// <see cref="IMoeQuantMethod.CreateWeights"/> returns: what a method keeps, it copies.
/// </summary>
public sealed record MoeWeightSource
{
    /// <summary>[experts, hidden] BF16 or float32; empty where the caller routes itself.</summary>
    public MoeTensorView RouterWeight { get; init; }

    /// <summary>[1, experts] BF16 or float32; empty where the shape has no router bias.</summary>
    public MoeTensorView RouterBias { get; init; }

    /// <summary>The first product: 2 × intermediate outputs, gate and up interleaved, hidden inputs.</summary>
    public required MoeExpertMatrix GateUp { get; init; }

    /// <summary>The second product: hidden outputs, intermediate inputs.</summary>
    public required MoeExpertMatrix Down { get; init; }

    /// <summary>Checks each tensor against the shape, so that a method can trust what it is handed.</summary>
    /// <exception cref="MoeException">A tensor is missing or has another size, type or place than the shape asks for.</exception>
    public void Validate(MoeLayerShape shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        shape.Validate();
        if (!RouterWeight.IsEmpty)
        {
            CheckFloats(RouterWeight, "router weight", 1, shape.ExpertCount, shape.HiddenSize);
            CheckBias(RouterBias, "router bias", shape.HasRouterBias, 1, shape.ExpertCount);
        }

        CheckMatrix(GateUp, "gate_up", shape, checked(2 * shape.IntermediateSize), shape.HiddenSize);
        CheckMatrix(Down, "down", shape, shape.HiddenSize, shape.IntermediateSize);
    }

    private static void CheckMatrix(MoeExpertMatrix matrix, string name, MoeLayerShape shape, int outputs, int inputs)
    {
        if (shape.WeightFormat == MoeWeightFormat.Mxfp4)
        {
            Check(matrix.Order == MoeMatrixOrder.OutputMajor, $"{name} is in input-major order; MXFP4 is output-major");
            CheckSize(matrix.Values, $"{name} blocks", shape.ExpertCount, outputs, inputs / 2);
            CheckSize(matrix.Scales, $"{name} scales", shape.ExpertCount, outputs, inputs / 32);
            Check(matrix.Values.ElementType == MoeElementType.UInt8, $"{name} blocks are {matrix.Values.ElementType}; UInt8 is expected");
            Check(matrix.Scales.ElementType == MoeElementType.UInt8, $"{name} scales are {matrix.Scales.ElementType}; UInt8 is expected");
        }
        else
        {
            (int rows, int columns) = matrix.Order == MoeMatrixOrder.OutputMajor ? (outputs, inputs) : (inputs, outputs);
            CheckSize(matrix.Values, name, shape.ExpertCount, rows, columns);
            Check(matrix.Values.ElementType == MoeElementType.BFloat16, $"{name} is {matrix.Values.ElementType}; BFloat16 is expected");
        }

        CheckBias(matrix.Bias, $"{name} bias", shape.HasExpertBias, shape.ExpertCount, outputs);
    }

    private static void CheckBias(MoeTensorView bias, string name, bool isExpected, int rows, int columns)
    {
        Check(bias.IsEmpty != isExpected, isExpected ? $"{name} is missing" : $"{name} is there, though the shape says that there is none");
        if (isExpected)
        {
            CheckFloats(bias, name, 1, rows, columns);
        }
    }

    private static void CheckFloats(MoeTensorView view, string name, int planes, int rows, int columns)
    {
        CheckSize(view, name, planes, rows, columns);
        Check(
            view.ElementType is MoeElementType.BFloat16 or MoeElementType.Float32,
            $"{name} is {view.ElementType}; BFloat16 or Float32 is expected");
    }

    private static void CheckSize(MoeTensorView view, string name, int planes, int rows, int columns)
    {
        Check(!view.IsEmpty, $"{name} is missing");
        Check(view.Device.Kind == MoeDeviceKind.Cpu, $"{name} is on {view.Device}; host memory is expected");
        Check(
            view.Planes == planes && view.Rows == rows && view.Columns == columns,
            $"{name} is [{view.Planes}, {view.Rows}, {view.Columns}]; [{planes}, {rows}, {columns}] is expected");
    }

    private static void Check(bool condition, string message)
    {
        if (!condition)
        {
            throw new MoeException(MoeReason.Checkpoint, $"The weights do not fit the layer: {message}.");
        }
    }
}
