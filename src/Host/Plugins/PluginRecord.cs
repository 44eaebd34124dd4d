using System.Diagnostics;

namespace Moe.Plugins;

/// <summary>A plugin on its way from a folder to an active backend: what is known of it, and what was done with it.</summary>
internal class PluginRecord
{
    private readonly Lock _lock = new();
    private readonly List<MoePluginStep> _steps = [];

    public PluginRecord(string id, string path)
    {
        Id = id;
        Path = path;
    }

    public string Id { get; set; }

    public string Version { get; set; } = "";

    public string ContractVersion { get; set; } = "";

    public string Path { get; }

    /// <summary>Where it lies in a drop folder; null for a backend that is part of the program.</summary>
    public PluginFile? File { get; init; }

    /// <summary>Its settings; null until its backend is made.</summary>
    public AskedSettings? Settings { get; set; }

    /// <summary>The folder that its files are loaded from.</summary>
    public virtual string Folder => AppContext.BaseDirectory;

    /// <summary>Its version, and whatever else tells two builds of it apart.</summary>
    public virtual string Build => Version;

    /// <summary>Who uses the backend, the host that offers it among them.</summary>
    public UseCount Uses { get; } = new();

    public MoeCandidateState State { get; private set; }

    public MoeReason Reason { get; private set; }

    public string Message { get; private set; } = "";

    public PluginOwner Owner => new(Id, Version);

    /// <summary>How the entry object is made; set once the plugin is loaded.</summary>
    public Func<IMoePlugin>? Entry { get; set; }

    /// <summary>The backend; null unless the plugin is active.</summary>
    public IMoeBackend? Backend { get; private set; }

    public bool HasEnded => State is MoeCandidateState.Rejected
        or MoeCandidateState.Failed
        or MoeCandidateState.TimedOut
        or MoeCandidateState.Quarantined;

    /// <summary>Does a step before any of the plugin's code runs. The step returns its sentence, or throws.</summary>
    /// <returns>Whether it passed.</returns>
    public bool Do(MoePluginStepKind kind, MoeCandidateState reached, Func<string> step)
    {
        var clock = Stopwatch.StartNew();
        try
        {
            Pass(kind, reached, step(), clock.Elapsed);
            return true;
        }
        catch (Exception exception)
        {
            // One plugin's fault, whatever it is, is that plugin's end and nobody else's.
            End(kind, kind == MoePluginStepKind.Load ? MoeStepOutcome.Failed : MoeStepOutcome.Refused, exception, clock.Elapsed);
            return false;
        }
    }

    public void Activate(IMoeBackend backend, TimeSpan duration)
    {
        Backend = backend;
        Pass(MoePluginStepKind.Activate, MoeCandidateState.Activated, "The backend was made.", duration);
    }

    public void End(MoePluginStepKind kind, MoeStepOutcome outcome, Exception exception, TimeSpan duration)
    {
        Fault fault = Fault.Read(exception);
        End(new MoePluginStep(kind, outcome, fault.Reason, fault.Sentence, duration));
    }

    /// <summary>Ends it after what its code did to the process that it was tried in.</summary>
    public void Quarantine(MoePluginStepKind kind, MoeReason reason, string sentence, TimeSpan duration) =>
        End(new MoePluginStep(kind, MoeStepOutcome.Quarantined, reason, sentence, duration));

    /// <summary>Ends it because its code took longer than <see cref="MoeOptions.ActivationTimeout"/>.</summary>
    public void TimeOut(MoePluginStepKind kind, string doing, MoeOptions options) =>
        End(new MoePluginStep(
            kind,
            MoeStepOutcome.TimedOut,
            MoeReason.TimedOut,
            $"{doing} did not return within {options.ActivationTimeout.TotalSeconds:0.###} s ({options.PathOf(nameof(MoeOptions.ActivationTimeout))}).",
            options.ActivationTimeout));

    public MoePluginInfo Describe()
    {
        lock (_lock)
        {
            return new MoePluginInfo
            {
                Id = Id,
                Version = Version,
                Path = Path,
                ContractVersion = ContractVersion,
                State = State,
                Reason = Reason,
                Message = Message,
                Steps = [.. _steps],
            };
        }
    }

    /// <summary>Says to other processes that its code begins to run.</summary>
    public virtual void BeginActivation()
    {
    }

    /// <summary>Says to other processes that its code has come back, or never will.</summary>
    public virtual void EndActivation()
    {
    }

    /// <summary>Lets go of the backend, so that its context can be unloaded.</summary>
    public void Release()
    {
        Backend = null;
        Entry = null;
        Unload();
    }

    /// <summary>Adds a step that passed and leaves the state as it is.</summary>
    public void Note(MoePluginStepKind kind, string sentence, TimeSpan duration) => Pass(kind, State, sentence, duration);

    /// <summary>Its code's context, which dies once nothing keeps it; null where it cannot be unloaded.</summary>
    public virtual WeakReference? Code => null;

    /// <summary>Unloads its code, of which nothing is in use any more.</summary>
    protected virtual void Unload()
    {
    }

    // Before any of its code runs all is said in single sentences: a line end in one is part of a name, which would pass for another plugin's line.
    private static string Plain(MoePluginStepKind kind, string sentence) =>
        kind < MoePluginStepKind.Load ? PlainText.Of(sentence, PlainText.MessageLength) : PlainText.OfMessage(sentence);

    private void Pass(MoePluginStepKind kind, MoeCandidateState reached, string sentence, TimeSpan duration)
    {
        lock (_lock)
        {
            State = reached;
            _steps.Add(new MoePluginStep(kind, MoeStepOutcome.Passed, MoeReason.None, Plain(kind, sentence), duration));
        }
    }

    private void End(MoePluginStep step)
    {
        step = step with { Sentence = Plain(step.Step, step.Sentence) };
        lock (_lock)
        {
            // Two probes may be late at once; the first says it.
            if (HasEnded)
            {
                return;
            }

            State = step.Outcome switch
            {
                MoeStepOutcome.Refused => MoeCandidateState.Rejected,
                MoeStepOutcome.TimedOut => MoeCandidateState.TimedOut,
                MoeStepOutcome.Quarantined => MoeCandidateState.Quarantined,
                _ => MoeCandidateState.Failed,
            };
            Reason = step.Reason;
            Message = step.Sentence;
            _steps.Add(step);
        }
    }
}
