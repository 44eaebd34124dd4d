namespace Moe.Plugins;

/// <summary>What a plugin says of its settings.</summary>
public static class MoePluginContextExtensions
{
    /// <summary>A setting that is the name of a file or folder; null where it is not set.</summary>
    /// <param name="context">What the host gave.</param>
    /// <param name="key">The setting's key.</param>
    /// <exception cref="MoeException">It is set to nothing.</exception>
    public static string? ReadPath(this IMoePluginContext context, string key)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentException.ThrowIfNullOrWhiteSpace(key);
        return !context.Settings.TryGetValue(key, out string? path) ? null
            : !string.IsNullOrWhiteSpace(path) ? path
            : throw context.WrongSetting(key, "the path of a file or folder");
    }

    /// <summary>What to throw where a setting's value cannot be read: it names the whole key, the value, and what was expected.</summary>
    /// <param name="context">What the host gave.</param>
    /// <param name="key">The setting's key.</param>
    /// <param name="expected">What is expected, as the subject of a sentence: <c>true or false</c>.</param>
    /// <param name="isMany">Whether more than one thing is expected.</param>
    public static MoeException WrongSetting(this IMoePluginContext context, string key, string expected, bool isMany = false)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentException.ThrowIfNullOrWhiteSpace(key);
        ArgumentException.ThrowIfNullOrWhiteSpace(expected);
        return new MoeException(
            MoeReason.Configuration,
            $"{context.SettingPath(key)} is '{context.Settings.GetValueOrDefault(key)}'; {expected} {(isMany ? "are" : "is")} expected.");
    }
}
