using System.Runtime.InteropServices;

namespace Moe.Plugins;

/// <summary>
/// A layer's weights where the checkpoint has them, unpadded. They can be read until <see cref="IMoeQuantMethod.CreateWeights"/> returns:
/// what a method keeps, it copies.
/// </summary>
public sealed record MoeWeightSource
{
    /// <summary>[experts, hidden] BF16, FP16 or float32; null where the caller routes.</summary>
    public MoeStoredTensor? RouterWeight { get; init; }

    /// <summary>[1, experts] BF16, FP16 or float32: the logits' bias; null where the router has none.</summary>
    public MoeStoredTensor? RouterBias { get; init; }

    /// <summary>[1, experts] float32 (other types are read, and lose): the selection bias; null where the router has none.</summary>
    public MoeStoredTensor? SelectionBias { get; init; }

    /// <summary>[vocabulary, top-k] int32 or int64: the experts of each token id; null where the router chooses by score.</summary>
    public MoeStoredTensor? TokenTable { get; init; }

    /// <summary>The first product: 2 × intermediate outputs, gates and ups (or intermediate outputs without gates), expert-hidden inputs.</summary>
    public required MoeExpertMatrix GateUp { get; init; }

    /// <summary>The second product: expert-hidden outputs, intermediate inputs.</summary>
    public required MoeExpertMatrix Down { get; init; }

    /// <summary>The experts that every token goes to; null where the shape has none.</summary>
    public MoeSharedWeights? Shared { get; init; }

    /// <summary>The projections of latent experts; null where the shape has none.</summary>
    public MoeLatentWeights? Latent { get; init; }

    /// <summary>Bytes that all tensors take in the checkpoint.</summary>
    public long ByteCount =>
        (RouterWeight?.ByteCount ?? 0) + (RouterBias?.ByteCount ?? 0) + (SelectionBias?.ByteCount ?? 0) + (TokenTable?.ByteCount ?? 0)
        + GateUp.ByteCount + Down.ByteCount
        + (Shared is null ? 0 : Shared.GateUp.ByteCount + Shared.Down.ByteCount + (Shared.Gate?.ByteCount ?? 0))
        + (Latent is null ? 0 : Latent.Down.ByteCount + Latent.Up.ByteCount + (Latent.Norm?.ByteCount ?? 0));

    /// <summary>
    /// The weights of a part of the layer. Nothing is read: rows of gate and up go with their neurons, their biases too; the bias of the
    /// second product is the first tensor rank's alone, and experts keep their own; the router is everybody's.
    /// </summary>
    /// <param name="shape">The whole layer's shape.</param>
    /// <param name="part">The part.</param>
    /// <exception cref="MoeException">The shape has no such part, or the tensors do not fit it.</exception>
    public MoeWeightSource Slice(MoeLayerShape shape, MoePart part)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(part);
        Validate(shape);
        MoeLayerShape local = shape.Slice(part);
        if (part.IsWhole)
        {
            return this;
        }

        (int first, int count) = MoePart.Range(shape.IntermediateSize, MoeLayerShape.BlockSize, part.TensorRank, part.TensorCount);
        return this with
        {
            GateUp = GateUp.SliceExperts(local.FirstExpert, local.LocalExpertCount)
                .SliceNeurons(shape.WeightFormat, shape.Activation.IsGated, shape.IntermediateSize, first, count),
            Down = Down.SliceExperts(local.FirstExpert, local.LocalExpertCount)
                .SliceInputs(shape.WeightFormat, first, count, keepsBias: part.TensorRank == 0),
            Shared = local.Shared is null ? null : SliceShared(shape.Shared!, part),
        };
    }

    /// <summary>Checks each tensor against the shape, so that a method can trust what it is handed.</summary>
    /// <exception cref="MoeException">A tensor is missing or has another size or type than the shape asks for.</exception>
    /// <exception cref="ArgumentNullException">A member that no layer can do without is null.</exception>
    public void Validate(MoeLayerShape shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(GateUp);
        ArgumentNullException.ThrowIfNull(Down);
        shape.Validate();
        if (RouterWeight is not null)
        {
            WeightSourceCheck.Floats(RouterWeight, "router weight", shape.ExpertCount, shape.HiddenSize);
            WeightSourceCheck.Optional(RouterBias, "router bias", shape.Router.HasLogitBias, 1, shape.ExpertCount);
            WeightSourceCheck.Optional(SelectionBias, "selection bias", shape.Router.HasSelectionBias, 1, shape.ExpertCount);
            WeightSourceCheck.TokenTable(shape, TokenTable);
        }

        int hidden = shape.ExpertHiddenSize;
        int experts = shape.LocalExpertCount;
        bool isGated = shape.Activation.IsGated;
        WeightSourceCheck.Matrix(GateUp, "gate_up", shape.WeightFormat, experts, shape.GateUpSize, hidden, shape.HasExpertBias, isGated);
        WeightSourceCheck.Matrix(Down, "down", shape.WeightFormat, experts, hidden, shape.IntermediateSize, shape.HasDownBias, isGated: false);
        WeightSourceCheck.Shared(shape, Shared);
        WeightSourceCheck.Latent(shape, Latent);
    }

    /// <summary>Reads the experts of each token id.</summary>
    /// <param name="shape">The layer's shape, against which the tensors are checked.</param>
    /// <returns>[vocabulary, top-k] ids of experts; null where there is no table.</returns>
    /// <exception cref="MoeException">The table cannot be read, or names an expert that the shape does not have.</exception>
    public unsafe int[]? ReadTokenTable(MoeLayerShape shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        if (TokenTable is null)
        {
            return null;
        }

        byte[] bytes = new byte[TokenTable.ByteCount];
        fixed (byte* target = bytes)
        {
            TokenTable.ReadRows(0, 0, TokenTable.Rows, (nint)target);
        }

        int[] ids = new int[checked(TokenTable.Rows * TokenTable.Columns)];
        for (int i = 0; i < ids.Length; i++)
        {
            long id = TokenTable.ElementType == MoeElementType.Int64 ? MemoryMarshal.Cast<byte, long>(bytes)[i] : MemoryMarshal.Cast<byte, int>(bytes)[i];
            ids[i] = id >= 0 && id < shape.ExpertCount
                ? (int)id
                : throw new MoeException(
                    MoeReason.Checkpoint,
                    $"The table of tokens sends token id {i / TokenTable.Columns} to expert {id}; 0 to {shape.ExpertCount - 1} is expected.");
        }

        return ids;
    }

    private MoeSharedWeights SliceShared(MoeSharedExperts shared, MoePart part)
    {
        (int first, int count) = MoePart.Range(shared.IntermediateSize, MoeLayerShape.BlockSize, part.Rank, part.RankCount);
        return Shared! with
        {
            GateUp = Shared.GateUp.SliceNeurons(shared.WeightFormat, shared.Activation.IsGated, shared.IntermediateSize, first, count),
            Down = Shared.Down.SliceInputs(shared.WeightFormat, first, count, keepsBias: part.Rank == 0),
        };
    }
}
