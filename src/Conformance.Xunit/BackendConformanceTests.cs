using Xunit;

namespace Moe.Plugins.Conformance;

/// <summary>
/// Every rule of the contract as a test. A backend's author derives one class and makes the backend:
/// <code>
/// public sealed class MyBackendTests : BackendConformanceTests
/// {
///     protected override IMoeBackend CreateBackend() => new MyPlugin().CreateBackend(Context);
/// }
/// </code>
/// A rule that does not apply, or that no device here can run, is a skipped test with its reason.
/// </summary>
public abstract class BackendConformanceTests
{
    /// <summary>The rules' names: what the one test is run for.</summary>
    public static TheoryData<string> Rules => [.. ConformanceSuite.Rules.Select(rule => rule.Id)];

    /// <summary>The device; null lets the backend choose.</summary>
    protected virtual MoeDevice? Device => null;

    /// <summary>Rules that are known to be broken. That one is kept after all is a failure.</summary>
    protected virtual IReadOnlyCollection<string> ExpectedFailures => [];

    /// <summary>Seed of random layers and tokens.</summary>
    protected virtual int Seed => 1;

    /// <summary>What the backend may take for one rule.</summary>
    protected virtual TimeSpan Deadline => ConformanceSubject.DefaultDeadline;

    /// <summary>What a plugin is given: no settings, the program's folder, a log that nobody reads.</summary>
    protected static IMoePluginContext Context { get; } = new BareContext();

    /// <summary>Checks one rule.</summary>
    /// <param name="rule">Its name.</param>
    [Theory]
    [MemberData(nameof(Rules))]
    public async Task Keeps(string rule)
    {
        IMoeBackend backend = CreateBackend();
        var subject = new ConformanceSubject
        {
            Backend = backend,
            Device = Device,
            ExpectedFailures = ExpectedFailures,
            Seed = Seed,
            Deadline = Deadline,
            Command = $"moe verify {GetType().Assembly.GetName().Name}",
        };

        ConformanceResult? result = null;
        try
        {
            result = ConformanceSuite.Rules.Single(candidate => candidate.Id == rule).Check(subject, TestContext.Current.CancellationToken);
        }
        finally
        {
            // A thread that did not return is still in it.
            if (result is not { TimedOut: true })
            {
                await backend.DisposeAsync();
            }
        }

        Assert.SkipWhen(result.Outcome == ConformanceOutcome.NotSupported, result.Reason);
        Assert.SkipWhen(result.Outcome == ConformanceOutcome.ExpectedFailure, $"expected failure: {string.Join("; ", result.Failures)}");
        Assert.False(result.Outcome == ConformanceOutcome.UnexpectedPass, $"'{rule}' is listed as broken, and is kept. Take it from the list.");
        Assert.True(result.Outcome == ConformanceOutcome.Passed, $"{result.Statement} {string.Join("; ", result.Failures)}");
    }

    /// <summary>Makes the backend that is checked, anew for each test.</summary>
    protected abstract IMoeBackend CreateBackend();

    private sealed class BareContext : IMoePluginContext, IMoePluginLog
    {
        public IReadOnlyDictionary<string, string> Settings { get; } = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);

        public string Folder => AppContext.BaseDirectory;

        public IMoePluginLog Log => this;

        public bool IsEnabled(MoeLogLevel level) => false;

        public void Write(MoeLogLevel level, string message, Exception? exception = null)
        {
            // A test's outcome says what there is to say.
        }
    }
}
