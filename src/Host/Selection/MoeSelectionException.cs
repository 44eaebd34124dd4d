namespace Moe.Plugins;

/// <summary>No backend could be had for a layer. The message is the whole report.</summary>
public sealed class MoeSelectionException : MoeException
{
    /// <summary>Makes the exception from a report that selected nothing.</summary>
    public MoeSelectionException(MoeSelectionReport report, Exception? innerException = null)
        : base(ReasonOf(report), report.ToString(), innerException) => Report = report;

    /// <summary>What became of every backend.</summary>
    public MoeSelectionReport Report { get; }

    private static MoeReason ReasonOf(MoeSelectionReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        return report.Reason;
    }
}
