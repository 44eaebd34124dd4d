using Microsoft.Extensions.Options;

namespace Moe.Plugins;

/// <summary>Checks the options on their own, before any plugin is looked at.</summary>
internal sealed class MoeOptionsValidator : IValidateOptions<MoeOptions>
{
    /// <exception cref="MoeOptionsException">An option is wrong.</exception>
    public ValidateOptionsResult Validate(string? name, MoeOptions options)
    {
        Check(options);
        return ValidateOptionsResult.Success;
    }

    /// <exception cref="MoeOptionsException">An option is wrong.</exception>
    public static void Check(MoeOptions options)
    {
        (string, string)[] errors = [.. Errors(options).Select(error => (options.PathOf(error.Key), error.Message))];
        if (errors.Length != 0)
        {
            throw new MoeOptionsException(errors);
        }
    }

    private static IEnumerable<(string Key, string Message)> Errors(MoeOptions options) => Missing(options) is { Length: > 0 } missing ? missing : Wrong(options);

    // What is not there cannot be looked into.
    private static (string Key, string Message)[] Missing(MoeOptions options)
    {
        (string Key, object? Value, string Expected)[] members =
        [
            (nameof(options.Order), options.Order, "a list of backends' ids"),
            (nameof(options.Layers), options.Layers, "patterns of layers' names, each with a backend's id,"),
            (nameof(options.PluginFolders), options.PluginFolders, "a list of folders"),
            (nameof(options.TrustKeys), options.TrustKeys, "a list of files"),
            (nameof(options.Parallel), options.Parallel, "how many ranks there are"),
            ($"{nameof(options.Parallel)}:{nameof(options.Parallel.Devices)}", options.Parallel is { } parallel ? parallel.Devices : "", "a list of devices"),
            (nameof(options.Plugins), options.Plugins, "settings by plugins' ids"),
            .. (options.Plugins ?? new Dictionary<string, IReadOnlyDictionary<string, string>>()).Select(
                static plugin => ($"{nameof(options.Plugins)}:{plugin.Key}", (object?)plugin.Value, "settings")),
        ];
        return [.. members.Where(static member => member.Value is null).Select(static member => (member.Key, $"is null; {member.Expected} is expected."))];
    }

    private static IEnumerable<(string Key, string Message)> Wrong(MoeOptions options)
    {
        if (string.IsNullOrWhiteSpace(options.Backend))
        {
            yield return (nameof(options.Backend), $"is empty; a backend's id or '{MoeOptions.Auto}' is expected.");
        }

        if (options.Order.Any(string.IsNullOrWhiteSpace))
        {
            yield return (nameof(options.Order), "has an empty entry; backends' ids are expected.");
        }

        foreach ((string pattern, string backend) in options.Layers)
        {
            if (string.IsNullOrWhiteSpace(backend))
            {
                yield return ($"{nameof(options.Layers)}:{pattern}", $"is empty; a backend's id or '{MoeOptions.Auto}' is expected.");
            }
        }

        if (!Enum.IsDefined(options.Fallback))
        {
            yield return (nameof(options.Fallback), $"is {(int)options.Fallback}; {string.Join(", ", Enum.GetNames<MoeFallback>())} is expected.");
        }

        if (!Enum.IsDefined(options.Trust))
        {
            yield return (nameof(options.Trust), $"is {(int)options.Trust}; {string.Join(", ", Enum.GetNames<MoeTrust>())} is expected.");
        }

        if (options.Trust == MoeTrust.Signed && options.TrustKeys.Count == 0)
        {
            yield return (nameof(options.TrustKeys), $"is empty, and {nameof(options.Trust)} is {MoeTrust.Signed}; the files of the public keys are expected.");
        }

        if (!options.TrustKeys.All(IsPath))
        {
            yield return (nameof(options.TrustKeys), "has an empty entry or one that is no path; files are expected.");
        }

        if (options.LockFile is not null && !IsPath(options.LockFile))
        {
            yield return (nameof(options.LockFile), $"is '{options.LockFile}'; a file is expected.");
        }

        if (!Enum.IsDefined(options.Trial))
        {
            yield return (nameof(options.Trial), $"is {(int)options.Trial}; {string.Join(", ", Enum.GetNames<MoeTrialMode>())} is expected.");
        }

        if (!options.PluginFolders.All(IsPath))
        {
            yield return (nameof(options.PluginFolders), "has an empty entry or one that is no path; folders are expected.");
        }

        if (options.Device is not null && options.ParseDevice() is null)
        {
            yield return (nameof(options.Device), $"is '{options.Device}'; cpu, cuda:N or N is expected.");
        }

        if (options.StagingFolder is not null && !(IsPath(options.StagingFolder) && Path.IsPathRooted(options.StagingFolder)))
        {
            yield return (nameof(options.StagingFolder), $"is '{options.StagingFolder}'; an absolute path is expected.");
        }

        if (options.KernelCache is not null && !IsPath(options.KernelCache))
        {
            yield return (nameof(options.KernelCache), $"is '{options.KernelCache}'; a folder is expected.");
        }

        foreach ((string plugin, IReadOnlyDictionary<string, string> settings) in options.Plugins)
        {
            foreach (string setting in settings.Where(static setting => setting.Value is null).Select(static setting => setting.Key))
            {
                yield return ($"{nameof(options.Plugins)}:{plugin}:{setting}", "is null; a text is expected.");
            }
        }

        foreach ((string key, string message) in options.Parallel.Errors())
        {
            yield return ($"{nameof(options.Parallel)}:{key}", message);
        }

        if (options.ActivationTimeout <= TimeSpan.Zero || options.ActivationTimeout > TimeSpan.FromHours(1))
        {
            yield return (nameof(options.ActivationTimeout), $"is {options.ActivationTimeout}; more than 0 and at most an hour is expected: 00:00:30 is half a minute, and 30 are days.");
        }
    }

    private static bool IsPath(string text) => !string.IsNullOrWhiteSpace(text) && text.IndexOfAny(Path.GetInvalidPathChars()) < 0;
}
