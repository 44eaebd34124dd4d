using Moe.Plugins;

namespace Contoso.MyBackend;

/// <summary>Says what can be run here, and makes the method of a layer.</summary>
internal sealed class Backend : IMoeBackend
{
    /// <summary>More is better where the host chooses; 0 to 99 are for CPUs.</summary>
    private const int Score = 10;

    public MoeProbeResult Probe(MoeProbeRequest request)
    {
        if (request.Device is MoeDevice device && device != MoeDevice.Cpu)
        {
            return MoeProbeResult.Unsupported(MoeReason.NoDevice, $"it runs only on the CPU, and {device} was asked for");
        }

        return Refuse(request.Shape) is string reason
            ? MoeProbeResult.Unsupported(MoeReason.Shape, reason)
            : MoeProbeResult.Supported(MoeDevice.Cpu, "CPU", Score);
    }

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => new Method();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>Why the kernel cannot run a layer: what it does not know it refuses, for a wrong result is worse. Null where it can.</summary>
    private static string? Refuse(MoeLayerShape shape)
    {
        MoeRouter router = shape.Router with { HasLogitBias = false, LogitPrecision = MoeElementType.Float32 };
        bool knowsRouter = (router == MoeRouter.TopKThenSoftmax
                || router == MoeRouter.SoftmaxThenTopK
                || router == MoeRouter.SoftmaxThenTopKRenormalized)
            && shape.Router.LogitPrecision is MoeElementType.BFloat16 or MoeElementType.Float32;
        bool knowsFormat = shape.WeightFormat is MoeWeightFormat.Mxfp4 or MoeWeightFormat.BFloat16 or MoeWeightFormat.Float16
            or MoeWeightFormat.Float32 or MoeWeightFormat.Fp8Block or MoeWeightFormat.Nvfp4;
        return !knowsFormat ? $"it does not know the weight format {shape.WeightFormat}"
            : !knowsRouter ? "it knows the routers TopKThenSoftmax, SoftmaxThenTopK and SoftmaxThenTopKRenormalized, and this is another one"
            : shape.Activation is not { Kind: MoeActivationKind.Glu, Function: MoeGluFunction.Silu, ClampsAfter: false }
                ? $"it does not know the activation {shape.Activation}"
            : shape.Shared is not null ? "it has no shared experts"
            : shape.Latent is not null ? "it has no latent experts"
            : !shape.Part.IsWhole ? "it runs whole layers only"
            : null;
    }
}
