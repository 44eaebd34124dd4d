using Microsoft.Extensions.Configuration;

namespace Moe.Plugins;

/// <summary>Where plugins are, which backend runs which layer: the configuration section <c>Moe</c>. Read once, when the host is made.</summary>
public sealed class MoeOptions
{
    /// <summary>The configuration section's name.</summary>
    public const string SectionName = "Moe";

    /// <summary>The value of <see cref="Backend"/> that leaves the choice to the host.</summary>
    public const string Auto = "auto";

    /// <summary>The backend of all layers: a plugin's id, which then runs or is an error, or <c>auto</c>.</summary>
    public string Backend { get; set; } = Auto;

    /// <summary>The ids that <c>auto</c> prefers, best first. Backends that are not in it come after, by their scores.</summary>
    public IList<string> Order { get; set; } = [];

    /// <summary>
    /// Exceptions from <see cref="Backend"/>: a pattern of layer names, with <c>*</c> for any characters and <c>?</c> for one, and the id or
    /// <c>auto</c> that counts for them. The most specific pattern that matches counts: first a name without wildcards, then the pattern with
    /// more characters that are no wildcards, then the one with fewer <c>*</c>, then the first by ordinal.
    /// </summary>
    public IDictionary<string, string> Layers { get; set; } = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);

    /// <summary>What <c>auto</c> does when a backend that comes first could not be had.</summary>
    public MoeFallback Fallback { get; set; } = MoeFallback.Warn;

    /// <summary>Folders that hold plugins, each as <c>&lt;Name&gt;/&lt;Name&gt;.dll</c>; a relative one is beside the program.</summary>
    public IList<string> PluginFolders { get; set; } = ["plugins"];

    /// <summary>The device of all layers: <c>cpu</c>, <c>cuda:N</c> or <c>N</c>; null lets the backend choose.</summary>
    public string? Device { get; set; }

    /// <summary>
    /// Where the plugins' private copies are kept; null for <c>moe/plugins</c> in the user's cache folder. On Unix only the user may write there.
    /// </summary>
    public string? StagingFolder { get; set; }

    /// <summary>Which plugins are loaded: any, or only those that the lock file pins.</summary>
    public MoeTrust Trust { get; set; }

    /// <summary>
    /// The lock file of <see cref="MoeTrust.Pinned"/>; null for <c>moe.plugins.lock.json</c>. A relative path is beside the program. Its
    /// signature has the same name with <c>.sig</c> after it.
    /// </summary>
    public string? LockFile { get; set; }

    /// <summary>Where the lock file is, absolute.</summary>
    public string LockFilePath => Path.GetFullPath(LockFile ?? "moe.plugins.lock.json", AppContext.BaseDirectory);

    /// <summary>Files of ECDSA P-256 public keys in PEM, one of which must have signed the lock file under <see cref="MoeTrust.Signed"/>.</summary>
    public IList<string> TrustKeys { get; set; } = [];

    /// <summary>Where plugins whose content was not run here before are tried first.</summary>
    public MoeTrialMode Trial { get; set; }

    /// <summary>How long a plugin may take to make its backend, and to answer a probe.</summary>
    public TimeSpan ActivationTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// A folder of compiled kernels that all plugins look in first and never write to: a filled one is shipped with a container, and no compiler
    /// is needed then. Relative to the program. Plugins find it as their setting <c>KernelCache</c>, unless they have one of their own.
    /// </summary>
    public string? KernelCache { get; set; }

    /// <summary>Over how many ranks layers are cut, and where the ranks are.</summary>
    public MoeParallelOptions Parallel { get; set; } = new();

    /// <summary>
    /// Each plugin's own settings by its id; nested keys are joined by colons. A shell's variables can hold neither dots nor dashes: underscores
    /// stand for them, as in <c>Moe__Plugins__Mxfp4_Marlin__KernelCache</c>.
    /// </summary>
    public IDictionary<string, IReadOnlyDictionary<string, string>> Plugins { get; set; } =
        new Dictionary<string, IReadOnlyDictionary<string, string>>(StringComparer.OrdinalIgnoreCase);

    /// <summary>Reads options from configuration.</summary>
    /// <param name="configuration">The section itself, or the root, of which section <c>Moe</c> is taken.</param>
    /// <exception cref="MoeOptionsException">A key is unknown or a value cannot be read; the message names it.</exception>
    public static MoeOptions From(IConfiguration configuration)
    {
        var options = new MoeOptions();
        MoeOptionsReader.Read(configuration, options);
        return options;
    }

    /// <summary>The section that the options were read from; null where the program set them, or read them by other means.</summary>
    internal string? SectionPath { get; set; }

    /// <summary>An option as messages name it: by its key where it was read from configuration, else by its property.</summary>
    internal string PathOf(params ReadOnlySpan<string?> keys) =>
        $"{(SectionPath is null ? $"{nameof(MoeOptions)}." : $"{SectionPath}:")}{string.Join(':', keys)}";

    /// <summary>Whether a key of <see cref="Plugins"/> means a plugin.</summary>
    internal static bool IsOf(string key, string id) => key.Equals(id, StringComparison.OrdinalIgnoreCase)
        || key.Equals(id.Replace('.', '_').Replace('-', '_'), StringComparison.OrdinalIgnoreCase);

    internal MoeDevice? ParseDevice() => MoeDevice.TryParse(Device, out MoeDevice device) ? device : null;

    internal IReadOnlyDictionary<string, string> SettingsOf(string id)
    {
        // The exact id last: what it says counts before what its spelling for environment variables says.
        var own = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach ((_, IReadOnlyDictionary<string, string> settings) in Plugins
            .Where(p => IsOf(p.Key, id))
            .OrderBy(p => p.Key.Equals(id, StringComparison.OrdinalIgnoreCase)))
        {
            foreach ((string key, string value) in settings)
            {
                own[key] = value;
            }
        }

        if (KernelCache is not null)
        {
            own.TryAdd(nameof(KernelCache), Path.GetFullPath(KernelCache, AppContext.BaseDirectory));
        }

        return own;
    }
}
