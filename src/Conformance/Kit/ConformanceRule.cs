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

    /// <summary>Checks a backend, on a thread of its own. Whatever the backend throws is a failure, and so is it not to return by the deadline.</summary>
    /// <param name="subject">The backend.</param>
    /// <param name="cancellationToken">Ends the check early: within a second also where the backend does not return, whose thread is left behind then.</param>
    /// <exception cref="OperationCanceledException">The check was ended early.</exception>
    public ConformanceResult Check(ConformanceSubject subject, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(subject);
        subject.Validate(nameof(subject));
        var run = new RuleRun(this, subject, cancellationToken);
        var work = new Deadline<bool>(
            $"Moe.Plugins rule {Id}",
            () =>
            {
                Check(run);
                return true;
            },
            subject.Clock);
        try
        {
            if (!work.TryGet(subject.Deadline, out _, cancellationToken))
            {
                run.TimeOut(subject.Deadline, work.DescribeLate(run.Who));
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
        catch (TimeoutException) when (run.HasTimedOut)
        {
            // A rank's, of which all is said.
        }
        catch (Exception exception)
        {
            run.Fail("no exception", ExceptionText.NameAndMessage(exception));
        }

        // A thread that was left behind may go on, and say more.
        bool isListed = subject.Expects(Id);
        IReadOnlyList<ConformanceFailure> failures = run.End();
        return Result(subject) with
        {
            Outcome = failures.Count > 0 ? isListed ? ConformanceOutcome.ExpectedFailure : ConformanceOutcome.Failed
                : run.Reason.Length > 0 ? ConformanceOutcome.NotSupported
                : isListed ? ConformanceOutcome.UnexpectedPass : ConformanceOutcome.Passed,
            Failures = failures,
            Reason = failures.Count > 0 ? "" : run.Reason,
            TimedOut = run.HasTimedOut,
        };
    }

    /// <summary>What is said of this rule where it was not run.</summary>
    internal ConformanceResult NotRun(ConformanceSubject subject, string reason) =>
        Result(subject) with { Outcome = ConformanceOutcome.NotRun, Reason = reason };

    internal abstract void Check(RuleRun run);

    private ConformanceResult Result(ConformanceSubject subject) => new()
    {
        RuleId = Id,
        Statement = Statement,
        Outcome = ConformanceOutcome.Passed,
        Command = $"{subject.Command} --rule {Id} --seed {subject.Seed}",
    };
}
