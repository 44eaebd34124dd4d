namespace Moe.Plugins;

/// <summary>The weights of the experts that every token goes to; each matrix has one plane.</summary>
public sealed record MoeSharedWeights
{
    /// <summary>The first product: gate and up, hidden inputs.</summary>
    public required MoeExpertMatrix GateUp { get; init; }

    /// <summary>The second product: hidden outputs.</summary>
    public required MoeExpertMatrix Down { get; init; }

    /// <summary>[1, hidden] BF16, FP16 or float32; null where the shape has no such gate.</summary>
    public MoeStoredTensor? Gate { get; init; }
}
