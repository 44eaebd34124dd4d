namespace Moe.Plugins;

/// <summary>What is done with a plugin, in this order.</summary>
public enum MoePluginStepKind
{
    /// <summary>Its main assembly is looked for in its folder.</summary>
    Find = 0,

    /// <summary>Its folder is held against the host's trust rules: where it lies, who may write it, what kinds of files it holds.</summary>
    Trust,

    /// <summary>Its metadata is read; nothing is loaded yet.</summary>
    Inspect,

    /// <summary>Its folder is copied to a private one, named by the content's hash.</summary>
    Stage,

    /// <summary>The copy is compared with what the host's lock file pins.</summary>
    Verify,

    /// <summary>The copy is tried in a process of its own, which it may harm.</summary>
    Trial,

    /// <summary>The copy is loaded into a context of its own.</summary>
    Load,

    /// <summary>Its entry type and its backend are made, under a deadline.</summary>
    Activate,

    /// <summary>The backend did not answer a probe in time, and is not asked again.</summary>
    Probe,
}
