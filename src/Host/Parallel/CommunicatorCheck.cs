namespace Moe.Plugins;

/// <summary>Checks a group's member against a layer, so that no rank waits for one that brings something else.</summary>
internal static class CommunicatorCheck
{
    /// <exception cref="MoeException">They do not go together; the message says in what.</exception>
    public static void Check(IMoeCommunicator communicator, MoeLayerConfig config, MoeDevice device)
    {
        MoePart part = config.Shape.Part;
        MoeGroupRequest request = communicator.Request;
        Require(
            communicator.Count == part.RankCount && communicator.Rank == part.Rank,
            $"the layer is the part of rank {part.Rank} of {part.RankCount}, and the member is rank {communicator.Rank} of {communicator.Count}");
        Require(communicator.Device == device, $"the layer is on {device}, and the member on {communicator.Device}");
        Require(
            request.Width == config.Shape.HiddenSize,
            $"the layer's hidden size is {config.Shape.HiddenSize}, and the group's {nameof(MoeGroupRequest.Width)} {request.Width}");
        Require(
            request.ElementType == config.Options.OutputType,
            $"the layer's {nameof(MoeLayerOptions.OutputType)} is {config.Options.OutputType}, and the group's {nameof(MoeGroupRequest.ElementType)} {request.ElementType}");
        Require(
            request.MaxTokens >= config.MaxTokens,
            $"the layer's {nameof(MoeLayerOptions.MaxTokens)} is {MaxTokens(config)}, and the group's only {request.MaxTokens}");
        if (config.Options.DispatchTokens)
        {
            // What a gathering carries of a token: its values, or its ids or weights.
            int bytes = Math.Max(config.Shape.HiddenSize * config.Options.InputType.ByteSize(), config.Shape.TopK * sizeof(float));
            int most = request.Width * request.ElementType.ByteSize();
            Require(bytes <= most, $"a token that is dispatched has {bytes} bytes, and the group's rows have {most}");
        }
    }

    private static string MaxTokens(MoeLayerConfig config) => config.Options.DispatchTokens
        ? $"{config.Options.MaxTokens} for each of {config.Shape.Part.RankCount} ranks"
        : $"{config.MaxTokens}";

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new MoeException(MoeReason.Configuration, $"The member of the group does not fit the layer: {message}.");
        }
    }
}
