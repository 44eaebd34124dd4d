namespace Moe.Plugins.Conformance;

/// <summary>The memory of a random matrix: where its tensors are, to be looked at and changed in place. Empty where there is none.</summary>
public sealed record RandomMatrix
{
    /// <summary>Codes, or numbers.</summary>
    public required MoeTensorView Values { get; init; }

    /// <summary>Scales of blocks.</summary>
    public MoeTensorView Scales { get; init; }

    /// <summary>NVFP4: one float32 factor per expert.</summary>
    public MoeTensorView GlobalScales { get; init; }

    /// <summary>Biases.</summary>
    public MoeTensorView Bias { get; init; }

    /// <summary>Which dimension runs along the rows.</summary>
    public MoeMatrixOrder Order { get; init; }

    /// <summary>How gates and ups lie.</summary>
    public MoeRowOrder RowOrder { get; init; }

    /// <summary>The ups, where they are apart.</summary>
    public RandomMatrix? Up { get; init; }

    internal MoeExpertMatrix Source => new()
    {
        Values = Values,
        Scales = Stored(Scales),
        GlobalScales = Stored(GlobalScales),
        Bias = Stored(Bias),
        Order = Order,
        RowOrder = RowOrder,
        Up = Up?.Source,
        ScaleRows = RandomLayer.Fp8Block,
        ScaleColumns = RandomLayer.Fp8Block,
    };

    /// <summary>A tensor that may not be there.</summary>
    internal static MoeStoredTensor? Stored(MoeTensorView view) => view.IsEmpty ? null : MoeStoredTensor.FromView(view);
}
