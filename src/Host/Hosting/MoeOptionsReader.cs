using System.Globalization;
using Microsoft.Extensions.Configuration;

namespace Moe.Plugins;

/// <summary>
/// Reads <see cref="MoeOptions"/> from configuration. By hand: a plugin's settings are of any depth, a mistyped key is worth a message,
/// and no reflection keeps natively compiled programs in.
/// </summary>
internal static class MoeOptionsReader
{
    private const int MaxSettingDepth = 16;

    private static readonly Dictionary<string, Action<IConfigurationSection, MoeParallelOptions>> ParallelReaders = new(StringComparer.OrdinalIgnoreCase)
    {
        [nameof(MoeParallelOptions.Tensor)] = static (section, options) => options.Tensor = Number(section),
        [nameof(MoeParallelOptions.Expert)] = static (section, options) => options.Expert = Number(section),
        [nameof(MoeParallelOptions.Devices)] = static (section, options) => options.Devices = Values(section),
        [nameof(MoeParallelOptions.Launcher)] = static (section, options) => options.Launcher = Name<MoeLauncher>(section),
        [nameof(MoeParallelOptions.Address)] = static (section, options) => options.Address = section.Value,
        [nameof(MoeParallelOptions.Port)] = static (section, options) => options.Port = Number(section),
        [nameof(MoeParallelOptions.Timeout)] = static (section, options) => options.Timeout = Time(section, "00:00:30"),
    };

    private static readonly Dictionary<string, Action<IConfigurationSection, MoeOptions>> Readers = new(StringComparer.OrdinalIgnoreCase)
    {
        [nameof(MoeOptions.Backend)] = static (section, options) => options.Backend = section.Value ?? options.Backend,
        [nameof(MoeOptions.Order)] = static (section, options) => options.Order = Values(section),
        [nameof(MoeOptions.Layers)] = static (section, options) =>
            options.Layers = section.GetChildren().ToDictionary(c => c.Key, c => c.Value ?? "", StringComparer.OrdinalIgnoreCase),
        [nameof(MoeOptions.Fallback)] = static (section, options) => options.Fallback = Name<MoeFallback>(section),
        [nameof(MoeOptions.PluginFolders)] = static (section, options) => options.PluginFolders = Values(section),
        [nameof(MoeOptions.Device)] = static (section, options) => options.Device = section.Value,
        [nameof(MoeOptions.StagingFolder)] = static (section, options) => options.StagingFolder = section.Value,
        [nameof(MoeOptions.KernelCache)] = static (section, options) => options.KernelCache = section.Value,
        [nameof(MoeOptions.Trust)] = static (section, options) => options.Trust = Name<MoeTrust>(section),
        [nameof(MoeOptions.LockFile)] = static (section, options) => options.LockFile = section.Value,
        [nameof(MoeOptions.TrustKeys)] = static (section, options) => options.TrustKeys = Values(section),
        [nameof(MoeOptions.Trial)] = static (section, options) => options.Trial = Name<MoeTrialMode>(section),
        [nameof(MoeOptions.ActivationTimeout)] = static (section, options) => options.ActivationTimeout = Time(section, "00:00:10"),
        [nameof(MoeOptions.Parallel)] = static (section, options) => ReadKeys(section, options.Parallel, ParallelReaders),
        [nameof(MoeOptions.Plugins)] = static (section, options) =>
            options.Plugins = section.GetChildren().ToDictionary(c => c.Key, Flatten, StringComparer.OrdinalIgnoreCase),
    };

    public static void Read(IConfiguration configuration, MoeOptions options)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        IConfigurationSection section = configuration as IConfigurationSection ?? configuration.GetSection(MoeOptions.SectionName);
        if (!section.Exists() && !section.Key.Equals(MoeOptions.SectionName, StringComparison.OrdinalIgnoreCase))
        {
            // Without the usual section, the defaults count; who names another one means what is in it.
            throw new MoeOptionsException(section.Path, $"is no section of the configuration; the host's is {MoeOptions.SectionName}, unless yours has another name.");
        }

        options.SectionPath = section.Path;
        ReadKeys(section, options, Readers);
    }

    private static void ReadKeys<T>(IConfigurationSection section, T options, Dictionary<string, Action<IConfigurationSection, T>> readers)
    {
        foreach (IConfigurationSection child in section.GetChildren())
        {
            if (!readers.TryGetValue(child.Key, out Action<IConfigurationSection, T>? read))
            {
                throw new MoeOptionsException(
                    child.Path, $"is no option.{DidYouMean.Ask(child.Key, readers.Keys)} The options are {string.Join(", ", readers.Keys)}.");
            }

            read(child, options);
        }
    }

    private static int Number(IConfigurationSection section) =>
        int.TryParse(section.Value, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : throw Wrong(section, "a whole number");

    private static TimeSpan Time(IConfigurationSection section, string example) =>
        TimeSpan.TryParse(section.Value, CultureInfo.InvariantCulture, out TimeSpan time) ? time : throw Wrong(section, $"a time such as {example}");

    private static T Name<T>(IConfigurationSection section)
        where T : struct, Enum
    {
        string[] names = Enum.GetNames<T>();
        return Enum.TryParse(section.Value, ignoreCase: true, out T value) && Enum.IsDefined(value)
            ? value
            : throw Wrong(section, $"{string.Join(", ", names[..^1])} or {names[^1]}", DidYouMean.Ask(section.Value ?? "", names));
    }

    // A list, or one value with commas: an environment variable or a command line can give no list.
    private static List<string> Values(IConfigurationSection section) => section.Value is { } value
        ? [.. value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)]
        : [.. section.GetChildren().Select(c => c.Value ?? "")];

    private static IReadOnlyDictionary<string, string> Flatten(IConfigurationSection plugin)
    {
        var settings = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        Add(settings, plugin, "", 0);
        return settings;
    }

    private static void Add(Dictionary<string, string> settings, IConfigurationSection section, string prefix, int depth)
    {
        // Each level's path repeats those above it: without a limit, a short text can ask for very much memory.
        if (depth > MaxSettingDepth)
        {
            throw new MoeOptionsException(section.Path, $"is nested deeper than {MaxSettingDepth} levels.");
        }

        foreach (IConfigurationSection child in section.GetChildren())
        {
            string key = prefix + child.Key;
            if (child.Value is { } value)
            {
                settings[key] = value;
            }

            Add(settings, child, key + ConfigurationPath.KeyDelimiter, depth + 1);
        }
    }

    private static MoeOptionsException Wrong(IConfigurationSection section, string expected, string question = "") =>
        new(section.Path, $"is '{section.Value}'; {expected} is expected.{question}");
}
