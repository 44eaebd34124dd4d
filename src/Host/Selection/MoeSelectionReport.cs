using System.Text;

namespace Moe.Plugins;

/// <summary>
/// Which backend was chosen for a layer, and what became of every other. The exception, the log line and the tools all read it here.
/// </summary>
public sealed record MoeSelectionReport
{
    /// <summary>What was asked for.</summary>
    public required MoeLayerRequest Request { get; init; }

    /// <summary>Every plugin that was found, those that were refused too: the eligible ones first, best first.</summary>
    public required IReadOnlyList<MoeCandidate> Candidates { get; init; }

    /// <summary>The folders that were searched, absolute.</summary>
    public required IReadOnlyList<string> Folders { get; init; }

    /// <summary>The chosen one; null where there is none.</summary>
    public MoeCandidate? Selected { get; init; }

    /// <summary>One line: what was chosen and why, or why nothing was.</summary>
    public required string Sentence { get; init; }

    /// <summary>Why nothing was chosen, for programs; <see cref="MoeReason.None"/> where something was.</summary>
    public MoeReason Reason { get; init; }

    /// <summary>Whether a backend that comes before the chosen one could not be had; see <see cref="MoeFallback"/>.</summary>
    public bool IsFallback { get; init; }

    /// <summary>Ids of backends that failed at making the layer, in the order in which they were tried.</summary>
    public IReadOnlyList<string> PassedOver { get; init; } = [];

    /// <summary>The sentence, then a line for each candidate, then where plugins were looked for.</summary>
    public override string ToString()
    {
        var text = new StringBuilder(Sentence);
        foreach (MoeCandidate candidate in Candidates)
        {
            text.AppendLine().Append("  ").Append(candidate);
        }

        if (Candidates.Count == 0)
        {
            text.AppendLine().Append("  No plugin was found.");
        }

        foreach (string folder in Folders)
        {
            text.AppendLine().Append("  Looked in ").Append(PlainText.Of(folder));
            if (PluginFolderState.Describe(folder) is { } wrong)
            {
                text.Append(", which ").Append(wrong);
            }
        }

        return text.ToString();
    }
}
