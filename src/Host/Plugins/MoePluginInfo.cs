namespace Moe.Plugins;

/// <summary>A plugin that was found, whatever became of it.</summary>
public sealed record MoePluginInfo
{
    /// <summary>The id that it declares; its folder's name where it was refused before that could be read.</summary>
    public required string Id { get; init; }

    /// <summary>Its version; empty where unknown.</summary>
    public required string Version { get; init; }

    /// <summary>Its main assembly in the drop folder; <c>(compiled in)</c> for a backend that is part of the program.</summary>
    public required string Path { get; init; }

    /// <summary>The contract that it needs, <c>major.minor</c>; empty where unknown.</summary>
    public required string ContractVersion { get; init; }

    /// <summary>How far it got, up to <see cref="MoeCandidateState.Activated"/>, or how it ended.</summary>
    public required MoeCandidateState State { get; init; }

    /// <summary>Why it got no further; <see cref="MoeReason.None"/> where it is active.</summary>
    public required MoeReason Reason { get; init; }

    /// <summary>The same for people.</summary>
    public required string Message { get; init; }

    /// <summary>What was done with it, in order.</summary>
    public required IReadOnlyList<MoePluginStep> Steps { get; init; }
}
