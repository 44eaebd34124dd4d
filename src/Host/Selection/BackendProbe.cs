namespace Moe.Plugins;

/// <summary>Asks one backend about a layer: whether it can run it, and which sizes it would give it.</summary>
internal static class BackendProbe
{
    /// <summary>The candidate for a plugin that did not become active: why is known already.</summary>
    public static MoeCandidate Describe(PluginRecord plugin) => new()
    {
        Id = plugin.Id,
        Version = plugin.Version,
        Path = plugin.Path,
        State = plugin.State,
        Reason = plugin.Reason,
        Message = plugin.Message,
    };

    /// <summary>Asks. Whatever the backend throws is its answer.</summary>
    public static MoeCandidate Ask(PluginRecord plugin, IMoeBackend backend, MoeProbeRequest request, MoeLayerOptions options)
    {
        MoeCandidate candidate = Describe(plugin);
        try
        {
            MoeProbeResult result = backend.Probe(request)
                ?? throw new MoeException(MoeReason.ContractBroken, $"{nameof(IMoeBackend)}.{nameof(IMoeBackend.Probe)} returned null.");
            candidate = candidate with { Message = PlainText.OfMessage(result.Message) };
            return result.IsSupported
                ? WithSizes(candidate, backend, request with { Device = result.Device }, options) with
                {
                    State = MoeCandidateState.Eligible,
                    Score = result.Score,
                    Device = result.Device,
                    DeviceName = PlainText.Of(result.DeviceName),
                }
                : TryWithSizes(candidate, backend, request, options) with
                {
                    State = MoeCandidateState.Rejected,
                    Reason = result.Reason,
                };
        }
        catch (Exception exception)
        {
            return Failed(candidate, exception);
        }
    }

    /// <summary>The candidate after its code failed. What a plugin itself names as a reason is a refusal, anything else a fault.</summary>
    public static MoeCandidate Failed(MoeCandidate candidate, Exception exception)
    {
        Fault fault = Fault.Read(exception);
        bool isRefusal = exception is MoeException and not MoePluginException && fault.Reason is not (MoeReason.ContractBroken or MoeReason.Threw);
        return candidate with
        {
            State = isRefusal ? MoeCandidateState.Rejected : MoeCandidateState.Failed,
            Reason = fault.Reason,
            Message = fault.Sentence,
        };
    }

    // A machine that cannot run the layer may still be asked for its sizes; a backend that knows none has said why already.
    private static MoeCandidate TryWithSizes(MoeCandidate candidate, IMoeBackend backend, MoeProbeRequest request, MoeLayerOptions options)
    {
        try
        {
            return WithSizes(candidate, backend, request, options);
        }
        catch (Exception)
        {
            return candidate;
        }
    }

    private static MoeCandidate WithSizes(MoeCandidate candidate, IMoeBackend backend, MoeProbeRequest request, MoeLayerOptions options)
    {
        using IMoeQuantMethod method = backend.CreateQuantMethod(request)
            ?? throw new MoeException(MoeReason.ContractBroken, $"{nameof(IMoeBackend)}.{nameof(IMoeBackend.CreateQuantMethod)} returned null.");
        MoeLayerConfig config = MoeLayerConfig.Create(request.Shape, method, options);
        return candidate with
        {
            HiddenSize = config.HiddenSize,
            IntermediateSize = config.IntermediateSize,
            SupportsSkipForwardPadding = method.SupportsSkipForwardPadding,
            HasUnpaddedOutput = method.HasUnpaddedOutput,
        };
    }
}
