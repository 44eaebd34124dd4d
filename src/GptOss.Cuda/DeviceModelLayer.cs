namespace Moe.Plugins.GptOss.Cuda;

/// <summary>One layer's weights on the device: all but its experts. Norms and sinks are float32.</summary>
internal sealed record DeviceModelLayer
{
    public required bool IsSliding { get; init; }

    /// <summary>[hidden].</summary>
    public required nint AttentionNorm { get; init; }

    /// <summary>Query heads, key heads, value heads.</summary>
    public required DeviceLinear QueryKeyValue { get; init; }

    /// <summary>[query heads].</summary>
    public required nint Sinks { get; init; }

    public required DeviceLinear Output { get; init; }

    /// <summary>[hidden].</summary>
    public required nint ExpertNorm { get; init; }
}
