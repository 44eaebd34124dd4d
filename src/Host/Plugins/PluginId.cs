namespace Moe.Plugins;

/// <summary>What a plugin's id may be. It names a folder of the staging area and a section of the configuration.</summary>
internal static class PluginId
{
    public const string Rule = "a name of 1 to 100 letters, digits, dots, dashes and underscores that starts with a letter or digit";

    public static bool IsValid(string id) =>
        id.Length is >= 1 and <= 100
        && char.IsAsciiLetterOrDigit(id[0])
        && id.All(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_')
        && !id.Equals(MoeOptions.Auto, StringComparison.OrdinalIgnoreCase);

    /// <exception cref="MoeException">A plugin that comes first has the id.</exception>
    public static void CheckUnique(string id, IEnumerable<PluginRecord> others)
    {
        PluginRecord? first = others.FirstOrDefault(p => !p.HasEnded && p.Id.Equals(id, StringComparison.OrdinalIgnoreCase));
        if (first is not null)
        {
            throw new MoeException(MoeReason.DuplicateId, $"Another plugin has the id {id} and comes first: {first.Path}.");
        }
    }
}
