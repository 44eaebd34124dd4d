namespace Moe.Plugins.Conformance;

/// <summary>The memory of a random layer: where its tensors are, to be looked at and changed in place. Empty where the shape has none.</summary>
public sealed record RandomTensors
{
    /// <summary>[experts, hidden] BF16.</summary>
    public required MoeTensorView RouterWeight { get; init; }

    /// <summary>[1, experts] BF16.</summary>
    public MoeTensorView RouterBias { get; init; }

    /// <summary>[1, experts] float32.</summary>
    public MoeTensorView SelectionBias { get; init; }

    /// <summary>[vocabulary, top-k] int32.</summary>
    public MoeTensorView TokenTable { get; init; }

    /// <summary>The first product.</summary>
    public required RandomMatrix GateUp { get; init; }

    /// <summary>The second product.</summary>
    public required RandomMatrix Down { get; init; }

    /// <summary>The shared experts' first product.</summary>
    public RandomMatrix? SharedGateUp { get; init; }

    /// <summary>The shared experts' second product.</summary>
    public RandomMatrix? SharedDown { get; init; }

    /// <summary>[1, hidden] BF16.</summary>
    public MoeTensorView SharedGate { get; init; }

    /// <summary>From the hidden size to the latent width.</summary>
    public RandomMatrix? LatentDown { get; init; }

    /// <summary>[1, latent width] BF16.</summary>
    public MoeTensorView LatentNorm { get; init; }

    /// <summary>From the latent width to the hidden size.</summary>
    public RandomMatrix? LatentUp { get; init; }

    internal MoeWeightSource Source => new()
    {
        RouterWeight = RouterWeight,
        RouterBias = RandomMatrix.Stored(RouterBias),
        SelectionBias = RandomMatrix.Stored(SelectionBias),
        TokenTable = RandomMatrix.Stored(TokenTable),
        GateUp = GateUp.Source,
        Down = Down.Source,
        Shared = SharedGateUp is null ? null : new MoeSharedWeights { GateUp = SharedGateUp.Source, Down = SharedDown!.Source, Gate = RandomMatrix.Stored(SharedGate) },
        Latent = LatentDown is null ? null : new MoeLatentWeights { Down = LatentDown.Source, Up = LatentUp!.Source, Norm = RandomMatrix.Stored(LatentNorm) },
    };
}
