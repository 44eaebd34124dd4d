using Microsoft.Extensions.Options;

namespace Moe.Plugins;

/// <summary>Checks the options on their own, before any plugin is looked at.</summary>
internal sealed class MoeOptionsValidator : IValidateOptions<MoeOptions>
{
    public ValidateOptionsResult Validate(string? name, MoeOptions options)
    {
        string[] errors = [.. Errors(options)];
        return errors.Length == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(errors);
    }

    private static IEnumerable<string> Errors(MoeOptions options)
    {
        const string Section = MoeOptions.SectionName;
        if (string.IsNullOrWhiteSpace(options.Backend))
        {
            yield return $"{Section}:{nameof(options.Backend)} is empty; a backend's id or '{MoeOptions.Auto}' is expected.";
        }

        if (options.Order.Any(string.IsNullOrWhiteSpace))
        {
            yield return $"{Section}:{nameof(options.Order)} has an empty entry; backends' ids are expected.";
        }

        foreach ((string pattern, string backend) in options.Layers)
        {
            if (string.IsNullOrWhiteSpace(backend))
            {
                yield return $"{Section}:{nameof(options.Layers)}:{pattern} is empty; a backend's id or '{MoeOptions.Auto}' is expected.";
            }
        }

        if (!Enum.IsDefined(options.Fallback))
        {
            yield return $"{Section}:{nameof(options.Fallback)} is {(int)options.Fallback}; {string.Join(", ", Enum.GetNames<MoeFallback>())} is expected.";
        }

        if (!Enum.IsDefined(options.Trust))
        {
            yield return $"{Section}:{nameof(options.Trust)} is {(int)options.Trust}; {string.Join(", ", Enum.GetNames<MoeTrust>())} is expected.";
        }

        if (options.Trust == MoeTrust.Signed && options.TrustKeys.Count == 0)
        {
            yield return $"{Section}:{nameof(options.Trust)} is {MoeTrust.Signed} and {Section}:{nameof(options.TrustKeys)} is empty; "
                + "the files of the public keys are expected.";
        }

        if (!options.TrustKeys.All(IsPath) || (options.LockFile is not null && !IsPath(options.LockFile)))
        {
            yield return $"{Section}:{nameof(options.TrustKeys)} or {Section}:{nameof(options.LockFile)} has an entry that is no path; files are expected.";
        }

        if (!Enum.IsDefined(options.Trial))
        {
            yield return $"{Section}:{nameof(options.Trial)} is {(int)options.Trial}; {string.Join(", ", Enum.GetNames<MoeTrialMode>())} is expected.";
        }

        if (!options.PluginFolders.All(IsPath))
        {
            yield return $"{Section}:{nameof(options.PluginFolders)} has an empty entry or one that is no path; folders are expected.";
        }

        if (options.Device is not null && options.ParseDevice() is null)
        {
            yield return $"{Section}:{nameof(options.Device)} is '{options.Device}'; cpu, cuda:N or N is expected.";
        }

        if (options.StagingFolder is not null && !(IsPath(options.StagingFolder) && Path.IsPathRooted(options.StagingFolder)))
        {
            yield return $"{Section}:{nameof(options.StagingFolder)} is '{options.StagingFolder}'; an absolute path is expected.";
        }

        if (options.KernelCache is not null && !IsPath(options.KernelCache))
        {
            yield return $"{Section}:{nameof(options.KernelCache)} is '{options.KernelCache}'; a folder is expected.";
        }

        if (options.ActivationTimeout <= TimeSpan.Zero || options.ActivationTimeout > TimeSpan.FromHours(1))
        {
            yield return $"{Section}:{nameof(options.ActivationTimeout)} is {options.ActivationTimeout}; more than 0 and at most an hour is expected.";
        }
    }

    private static bool IsPath(string text) => !string.IsNullOrWhiteSpace(text) && text.IndexOfAny(Path.GetInvalidPathChars()) < 0;
}
