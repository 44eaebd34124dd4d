namespace Moe.Plugins.Conformance.Tests;

/// <summary>
/// A layer so small that its answer is a formula: one input that is 1 and experts whose biases are gate and up, whose matrices are 0 but
/// for a down matrix that copies the activation to the first output.
/// </summary>
internal sealed class OneExpert : IDisposable
{
    private readonly List<MoeBuffer> _tensors = [];

    public OneExpert(MoeActivation activation, int experts = 1, int topK = 1, MoeRouter? router = null)
    {
        Shape = new MoeLayerShape
        {
            HiddenSize = 1,
            IntermediateSize = 1,
            ExpertCount = experts,
            TopK = topK,
            WeightFormat = MoeWeightFormat.BFloat16,
            Activation = activation,
            Router = (router ?? MoeRouter.TopKThenSoftmax) with { HasLogitBias = true },
        };
        Tensors = new RandomTensors
        {
            RouterWeight = Add(MoeElementType.Float32, experts, 1),
            RouterBias = Add(MoeElementType.Float32, 1, experts),
            GateUp = new RandomMatrix
            {
                Values = Add(MoeElementType.BFloat16, 2, 1, experts),
                Bias = Add(MoeElementType.Float32, experts, 2),
            },
            Down = new RandomMatrix
            {
                Values = Add(MoeElementType.BFloat16, 1, 1, experts),
                Bias = Add(MoeElementType.Float32, experts, 1),
            },
        };
        Input = Add(MoeElementType.Float32, 1, 1);
        Conformance.Tests.Tensors.Write(Input, 0, [1f]);
        for (int expert = 0; expert < experts; expert++)
        {
            Conformance.Tests.Tensors.Write(Tensors.Down.Values, 0, Conformance.Tests.Tensors.BFloat16(1), expert);
        }
    }

    public MoeLayerShape Shape { get; }

    public RandomTensors Tensors { get; }

    public MoeWeightSource Source => new()
    {
        RouterWeight = Tensors.RouterWeight,
        RouterBias = Tensors.RouterBias,
        GateUp = new MoeExpertMatrix { Values = Tensors.GateUp.Values, Bias = Tensors.GateUp.Bias },
        Down = new MoeExpertMatrix { Values = Tensors.Down.Values, Bias = Tensors.Down.Bias },
    };

    public MoeTensorView Input { get; }

    public OracleResult Compute(OracleOptions? options = null) => MoeOracle.Compute(Shape, Source, Input, options, TestContext.Current.CancellationToken);

    public void Dispose() => _tensors.ForEach(tensor => tensor.Dispose());

    private MoeTensorView Add(MoeElementType type, int rows, int columns, int planes = 1)
    {
        var tensor = MoeBuffer.OnHost(type, rows, columns, planes);
        tensor.Fill(0);
        _tensors.Add(tensor);
        return tensor.View;
    }
}
