namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>A small correct backend on the CPU, but for one lie.</summary>
internal sealed class LyingBackend(Lie lie, bool roundsToMxfp8 = false, bool sumsLikeFp8 = false) : IMoeBackend
{
    public MoeProbeResult Probe(MoeProbeRequest request)
    {
        if (lie == Lie.ThrowsInProbe && request.Shape.ExpertCount > 1000)
        {
            throw new InvalidOperationException("too many experts");
        }

        if (lie != Lie.TakesTheUnknownForTheKnown && Refuse(request.Shape, lie == Lie.TakesAnyActivationForSilu) is string refusal)
        {
            return MoeProbeResult.Unsupported(MoeReason.Shape, refusal);
        }

        bool isThere = request.Device is null || request.Device == MoeDevice.Cpu || lie == Lie.FindsDevicesThatAreNotThere;
        return isThere
            ? MoeProbeResult.Supported(request.Device ?? MoeDevice.Cpu, "a processor", 1)
            : MoeProbeResult.Unsupported(MoeReason.NoDevice, "it runs only on the CPU");
    }

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => new LyingMethod(request.Shape, lie, roundsToMxfp8 || lie is Lie.SumsInFourteenBits or Lie.DropsBlocksOfSmallScales, sumsLikeFp8);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static string? Refuse(MoeLayerShape shape, bool takesAnyActivation)
    {
        MoeRouter router = shape.Router with { HasLogitBias = false };
        bool knowsActivation = shape.Activation == MoeActivation.SiluGated
            || shape.Activation is { Kind: MoeActivationKind.Glu, Function: MoeGluFunction.Silu, Beta: 1 };
        bool knowsRouter = router == MoeRouter.TopKThenSoftmax || router == MoeRouter.SoftmaxThenTopK || router == MoeRouter.SoftmaxThenTopKRenormalized;
        return knowsRouter
            && shape is { Shared: null, Latent: null, WeightFormat: MoeWeightFormat.Mxfp4 or MoeWeightFormat.BFloat16 }
            && (knowsActivation || takesAnyActivation)
            ? null
            : "it knows only the plainest layers";
    }
}
