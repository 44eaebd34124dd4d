namespace Moe.Plugins.Kernels;

/// <summary>
/// The networks that a layer is made of, each as a layer of its own: the routed experts without what stands around them, and the shared experts as
/// one expert that every token goes to.
/// </summary>
internal sealed class LayerNetworks
{
    /// <summary>Makes the networks' configs.</summary>
    /// <param name="config">The whole layer.</param>
    /// <param name="method">Who rounds sizes.</param>
    public LayerNetworks(MoeLayerConfig config, IMoeQuantMethod method)
    {
        MoeLayerShape shape = config.Shape;
        Experts = Create(ExpertsOf(shape), WeighsInput(shape) ? checked(config.MaxTokens * shape.TopK) : config.MaxTokens);
        Shared = shape.Shared is null ? null : Create(SharedOf(shape), config.MaxTokens);
        Projection = shape.Latent is null ? null : Create(OneExpert(shape.HiddenSize, shape.Latent.Width, shape.Latent.WeightFormat), config.MaxTokens);

        MoeLayerConfig Create(MoeLayerShape own, int maxTokens) => MoeLayerConfig.Create(own, method, new MoeLayerOptions { MaxTokens = maxTokens });
    }

    /// <summary>The routed experts. Where weights are on the input each pair is a token.</summary>
    public MoeLayerConfig Experts { get; }

    /// <summary>Null where there are none.</summary>
    public MoeLayerConfig? Shared { get; }

    /// <summary>All tokens as those of one expert, which is how a latent projection reads them; null where there is none.</summary>
    public MoeLayerConfig? Projection { get; }

    /// <summary>Whether tokens are multiplied by their weights before the experts.</summary>
    public static bool WeighsInput(MoeLayerShape shape) => shape.Router.WeightOn == MoeWeightOn.Input;

    /// <summary>The shape of the routed experts' network.</summary>
    public static MoeLayerShape ExpertsOf(MoeLayerShape shape) => shape with
    {
        HiddenSize = shape.ExpertHiddenSize,
        TopK = WeighsInput(shape) ? 1 : shape.TopK,
        Shared = null,
        Latent = null,
    };

    /// <summary>The shape of the shared experts' network.</summary>
    public static MoeLayerShape SharedOf(MoeLayerShape shape) =>
        OneExpert(shape.HiddenSize, shape.Shared!.IntermediateSize, shape.Shared.WeightFormat) with { Activation = shape.Shared.Activation };

    private static MoeLayerShape OneExpert(int hidden, int intermediate, MoeWeightFormat format) => new()
    {
        HiddenSize = hidden,
        IntermediateSize = intermediate,
        ExpertCount = 1,
        TopK = 1,
        WeightFormat = format,
        Router = MoeRouter.SoftmaxThenTopK,
        HasExpertBias = false,
    };
}
