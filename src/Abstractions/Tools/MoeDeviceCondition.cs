namespace Moe.Plugins;

/// <summary>The state of a device at one moment.</summary>
public sealed record MoeDeviceCondition
{
    /// <summary>The device's own name.</summary>
    public required string Name { get; init; }

    /// <summary>Driver version, or null where there is no driver.</summary>
    public string? Driver { get; init; }

    /// <summary>What holds the device back right now, in words ("power brake", "thermal"); null where nothing does.</summary>
    public string? Throttle { get; init; }

    /// <summary>Whether figures measured in this state mean nothing: the device runs far below its ordinary clocks.</summary>
    public bool IsUnfitForMeasuring { get; init; }
}
