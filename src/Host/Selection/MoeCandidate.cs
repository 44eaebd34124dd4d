using System.Globalization;

namespace Moe.Plugins;

/// <summary>What one plugin said, or what is wrong with it, when a backend was looked for.</summary>
public sealed record MoeCandidate
{
    /// <summary>The plugin's id.</summary>
    public required string Id { get; init; }

    /// <summary>Its version; empty where unknown.</summary>
    public required string Version { get; init; }

    /// <summary>Its main assembly, or <c>(compiled in)</c>.</summary>
    public required string Path { get; init; }

    /// <summary>How far it got.</summary>
    public required MoeCandidateState State { get; init; }

    /// <summary>Why it cannot run the layer; <see cref="MoeReason.None"/> where it can.</summary>
    public MoeReason Reason { get; init; }

    /// <summary>For people: why not, or what the backend finds worth knowing.</summary>
    public string Message { get; init; } = "";

    /// <summary>The backend's score; null where it cannot run the layer.</summary>
    public int? Score { get; init; }

    /// <summary>The device that the layer would run on; null where it cannot.</summary>
    public MoeDevice? Device { get; init; }

    /// <summary>The device's own name; empty where the layer cannot run.</summary>
    public string DeviceName { get; init; } = "";

    /// <summary>Padded hidden size, known also where the layer cannot run; null where the backend has no method for such a layer.</summary>
    public int? HiddenSize { get; init; }

    /// <summary>Padded intermediate size; null where <see cref="HiddenSize"/> is.</summary>
    public int? IntermediateSize { get; init; }

    /// <summary>The method's capability to take unpadded input; null where <see cref="HiddenSize"/> is.</summary>
    public bool? SupportsSkipForwardPadding { get; init; }

    /// <summary>The method's capability to write unpadded output; null where <see cref="HiddenSize"/> is.</summary>
    public bool? HasUnpaddedOutput { get; init; }

    /// <summary>Whether the backend can run the layer.</summary>
    public bool IsEligible => State is MoeCandidateState.Eligible or MoeCandidateState.Selected;

    /// <summary>One line: id, version, state, and why.</summary>
    public override string ToString()
    {
        string name = Version.Length == 0 ? Id : $"{Id} {Version}";
        string what = IsEligible
            ? string.Create(CultureInfo.InvariantCulture, $"on {Device} ({DeviceName}), score {Score}")
            : $"{Reason}";
        return $"{name}: {State}, {what}{(Message.Length == 0 ? "" : $": {Message}")} [{Path}]";
    }
}
