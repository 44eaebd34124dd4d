namespace Moe.Plugins.Conformance;

/// <summary>What became of a rule.</summary>
public enum ConformanceOutcome
{
    /// <summary>The backend keeps it.</summary>
    Passed,

    /// <summary>The backend breaks it.</summary>
    Failed,

    /// <summary>It concerns what the backend does not claim to do, or cannot do here.</summary>
    NotSupported,

    /// <summary>The backend breaks it, as its author has listed.</summary>
    ExpectedFailure,

    /// <summary>The author lists it as broken, and the backend keeps it: a failure, for the list is out of date.</summary>
    UnexpectedPass,

    /// <summary>It was not checked: the backend did not return from earlier rules, and more would not have told more; or the check was ended early.</summary>
    NotRun,
}
