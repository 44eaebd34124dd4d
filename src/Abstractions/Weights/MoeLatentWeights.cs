namespace Moe.Plugins;

/// <summary>The projections around experts that are narrower than the residual stream; each matrix has one plane.</summary>
public sealed record MoeLatentWeights
{
    /// <summary>Latent outputs, hidden inputs: before the experts.</summary>
    public required MoeExpertMatrix Down { get; init; }

    /// <summary>Hidden outputs, latent inputs: behind the experts' sum.</summary>
    public required MoeExpertMatrix Up { get; init; }

    /// <summary>[1, latent width] BF16, FP16 or float32; null where the shape has no norm.</summary>
    public MoeStoredTensor? Norm { get; init; }
}
