namespace Moe.Plugins.Sm100;

/// <summary>
/// The kernels for one kind of device. Every family computes the same numbers: activations rounded to MXFP8 before each product
/// (<see cref="Mxfp8Quantizer"/> has the rule), MXFP4 weights as they are, float32 sums. It reads the caller's unpadded rows and writes the
/// caller's unpadded output.
/// </summary>
internal interface IExpertFamily
{
    /// <summary>Loads a layer's weights into the family's own layout.</summary>
    IMoeWeights CreateWeights(MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken);

    /// <summary>Allocates what a forward needs.</summary>
    IMoeWorkspace CreateWorkspace(MoeLayerConfig config);

    /// <summary>Enqueues one batch of at least one token.</summary>
    void Forward(in MoeForwardArguments arguments);
}
