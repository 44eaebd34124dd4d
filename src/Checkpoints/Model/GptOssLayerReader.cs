namespace Moe.Plugins.Checkpoints;

/// <summary>
/// Reads one layer in GPT-OSS's naming, which transformers keeps when it saves the dequantised model: MXFP4 as
/// <c>experts.gate_up_proj_blocks</c> [experts, 2 · intermediate, hidden / 32, 16] with <c>_scales</c>, BF16 as
/// <c>experts.gate_up_proj</c> [experts, hidden, 2 · intermediate]; <c>down_proj</c> likewise; <c>_bias</c> in both
/// (transformers <c>models/gpt_oss/modeling_gpt_oss.py</c> and <c>integrations/mxfp4.py</c>).
/// </summary>
internal sealed class GptOssLayerReader
{
    /// <summary>Values of a block, and bytes that they take (OCP Microscaling Formats v1.0, §5.1).</summary>
    private const int BlockSize = 32;
    private const int BlockBytes = 16;

    private readonly CheckpointTensors _tensors;
    private readonly MoeLayerName _name;
    private long _byteCount;

    private GptOssLayerReader(CheckpointTensors tensors, MoeLayerName name)
    {
        _tensors = tensors;
        _name = name;
    }

    /// <summary>Whether a tensor is one of the four that a layer of this naming cannot be without.</summary>
    public static bool IsExpertWeight(string tensor, MoeLayerName layer) => tensor.AsSpan(layer.Name.Length) is
        ".experts.gate_up_proj_blocks" or ".experts.down_proj_blocks" or ".experts.gate_up_proj" or ".experts.down_proj";

    /// <summary>Reads a layer.</summary>
    /// <exception cref="MoeException">A tensor is missing or contradicts the others or the model's own settings.</exception>
    public static CheckpointLayer Read(CheckpointTensors tensors, MoeLayerName name, ModelSettings settings) =>
        new GptOssLayerReader(tensors, name).Read(settings);

    private CheckpointLayer Read(ModelSettings settings)
    {
        bool isMxfp4 = Has("experts.gate_up_proj_blocks") || Has("experts.down_proj_blocks");
        string gateUp = isMxfp4 ? "experts.gate_up_proj_blocks" : "experts.gate_up_proj";
        string down = isMxfp4 ? "experts.down_proj_blocks" : "experts.down_proj";
        (int experts, int hidden, int outputs) = Sizes(gateUp, isMxfp4);
        (int downExperts, int intermediate, int downOutputs) = Sizes(down, isMxfp4);
        if (outputs != 2L * intermediate || downOutputs != hidden || downExperts != experts)
        {
            throw Error(
                $"{gateUp} has {experts} experts, {hidden} inputs and {outputs} outputs, which asks {down} for {experts}, {outputs / 2} and {hidden}; "
                + $"found are {downExperts}, {intermediate} and {downOutputs}");
        }

        settings.CheckSizes(_name.Name, experts, hidden, intermediate);
        var shape = new MoeLayerShape
        {
            HiddenSize = hidden,
            IntermediateSize = intermediate,
            ExpertCount = experts,
            TopK = settings.TopK(_name.Name),
            WeightFormat = isMxfp4 ? MoeWeightFormat.Mxfp4 : MoeWeightFormat.BFloat16,
            Activation = settings.Activation(_name.Name),
            Router = MoeRouter.TopKThenSoftmax with { HasLogitBias = Has("router.bias") },
            HasExpertBias = Has("experts.gate_up_proj_bias") || Has("experts.down_proj_bias"),
        };
        MoeWeightSource source = ReadSource(shape);
        source.Validate(shape);
        return new CheckpointLayer { Name = _name.Name, Index = _name.Index, Shape = shape, Source = source, ByteCount = _byteCount };
    }

    private MoeWeightSource ReadSource(MoeLayerShape shape)
    {
        int experts = shape.ExpertCount;
        MoeStoredTensor? routerBias = null;
        if (shape.Router.HasLogitBias)
        {
            routerBias = View("router.bias", null, experts);
        }

        return new MoeWeightSource
        {
            RouterWeight = View("router.weight", null, experts, shape.HiddenSize),
            RouterBias = routerBias,
            GateUp = ReadMatrix("experts.gate_up_proj", shape, 2 * shape.IntermediateSize, shape.HiddenSize),
            Down = ReadMatrix("experts.down_proj", shape, shape.HiddenSize, shape.IntermediateSize),
        };
    }

    private MoeExpertMatrix ReadMatrix(string name, MoeLayerShape shape, int outputs, int inputs)
    {
        int experts = shape.ExpertCount;
        MoeStoredTensor? bias = null;
        if (shape.HasExpertBias)
        {
            bias = View($"{name}_bias", null, experts, outputs);
        }

        if (shape.WeightFormat == MoeWeightFormat.BFloat16)
        {
            MoeTensorView values = View(name, SafetensorsType.BF16, experts, inputs, outputs);
            return new MoeExpertMatrix { Values = values, Bias = bias, Order = MoeMatrixOrder.InputMajor };
        }

        int blocks = inputs / BlockSize;
        return new MoeExpertMatrix
        {
            Values = View($"{name}_blocks", SafetensorsType.U8, experts, outputs, blocks, BlockBytes),
            Scales = View($"{name}_scales", SafetensorsType.U8, experts, outputs, blocks),
            Bias = bias,
        };
    }

    private (int Experts, int Inputs, int Outputs) Sizes(string name, bool isMxfp4)
    {
        SafetensorsTensor tensor = Find(name, out SafetensorsFile file);
        IReadOnlyList<long> shape = tensor.Shape;
        bool isPlausible = shape.Count == (isMxfp4 ? 4 : 3) && shape.All(size => size is > 0 and <= int.MaxValue / BlockSize);
        if (!isPlausible)
        {
            string expected = isMxfp4 ? "[experts, outputs, inputs / 32, 16]" : "[experts, inputs, outputs]";
            throw Error($"{name} in '{file.Path}' is {tensor}; {expected} is expected");
        }

        return isMxfp4
            ? ((int)shape[0], (int)shape[2] * BlockSize, (int)shape[1])
            : ((int)shape[0], (int)shape[1], (int)shape[2]);
    }

    private MoeTensorView View(string name, SafetensorsType? type, params ReadOnlySpan<long> shape)
    {
        SafetensorsTensor tensor = Find(name, out SafetensorsFile file);
        bool hasType = type is null ? tensor.Type is SafetensorsType.BF16 or SafetensorsType.F32 : tensor.Type == type;
        if (!hasType || !shape.SequenceEqual(tensor.Shape.ToArray()))
        {
            string expected = SafetensorsTensor.Describe(type ?? SafetensorsType.BF16, shape.ToArray());
            throw Error($"{name} in '{file.Path}' is {tensor}; {expected} is expected");
        }

        _byteCount += tensor.ByteCount;
        return file.GetView(tensor);
    }

    private bool Has(string name) => _tensors.TryGet($"{_name.Name}.{name}", out _, out _);

    private SafetensorsTensor Find(string name, out SafetensorsFile file)
    {
        if (!_tensors.TryGet($"{_name.Name}.{name}", out SafetensorsFile? found, out SafetensorsTensor? tensor))
        {
            throw Error($"tensor {name} is missing (of a model in several files, open the folder with {ShardIndex.FileName})");
        }

        file = found;
        return tensor;
    }

    private MoeException Error(string what) => new(MoeReason.Checkpoint, $"Layer '{_name.Name}' cannot be read: {what}.");
}
