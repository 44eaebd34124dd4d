namespace Moe.Plugins.Conformance;

/// <summary>One thing that the contract asks of a backend.</summary>
public abstract class ConformanceRule
{
    private protected ConformanceRule(string id, string statement)
    {
        Id = id;
        Statement = statement;
    }

    /// <summary>Its name: <c>rounding-idempotent</c>.</summary>
    public string Id { get; }

    /// <summary>What it asks for, in a sentence.</summary>
    public string Statement { get; }

    /// <summary>Checks a backend. Whatever the backend throws is a failure.</summary>
    /// <param name="subject">The backend.</param>
    /// <param name="cancellationToken">Ends the check early.</param>
    public ConformanceResult Check(ConformanceSubject subject, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(subject);
        var run = new RuleRun(subject, cancellationToken);
        try
        {
            Check(run);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
        catch (Exception exception)
        {
            run.Fail("no exception", ExceptionText.NameAndMessage(exception));
        }

        bool isListed = subject.ExpectedFailures.Contains(Id, StringComparer.OrdinalIgnoreCase);
        return new ConformanceResult
        {
            RuleId = Id,
            Statement = Statement,
            Outcome = run.Failures.Count > 0 ? isListed ? ConformanceOutcome.ExpectedFailure : ConformanceOutcome.Failed
                : run.Reason.Length > 0 ? ConformanceOutcome.NotSupported
                : isListed ? ConformanceOutcome.UnexpectedPass : ConformanceOutcome.Passed,
            Failures = [.. run.Failures],
            Reason = run.Failures.Count > 0 ? "" : run.Reason,
            Command = $"{subject.Command} --rule {Id} --seed {subject.Seed}",
        };
    }

    internal abstract void Check(RuleRun run);
}
