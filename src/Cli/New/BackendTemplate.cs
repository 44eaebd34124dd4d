using System.Reflection;

namespace Moe.Plugins.Cli;

/// <summary>The template's files, which are part of the program, and their renaming.</summary>
internal static class BackendTemplate
{
    private const string Prefix = "moe-backend/";
    private const string TemplateName = "Contoso.MyBackend";
    private const string TemplateVersion = "MOE_PLUGINS_VERSION";

    /// <summary>Whether a name can be a namespace, an assembly and a folder.</summary>
    public static bool IsName(string name) => name.Split('.').All(
        part => part.Length > 0 && (char.IsAsciiLetter(part[0]) || part[0] == '_') && part.All(c => char.IsAsciiLetterOrDigit(c) || c == '_'));

    /// <summary>Writes the template under another name.</summary>
    public static void Write(string name, string folder)
    {
        Assembly own = typeof(BackendTemplate).Assembly;
        foreach (string resource in own.GetManifestResourceNames().Where(resource => resource.StartsWith(Prefix, StringComparison.Ordinal)))
        {
            string path = Path.Combine(folder, Rename(resource[Prefix.Length..].Replace('\\', '/')));
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            using var reader = new StreamReader(own.GetManifestResourceStream(resource)!);
            File.WriteAllText(path, Rename(reader.ReadToEnd()));
        }

        string Rename(string text) =>
            text.Replace(TemplateName, name, StringComparison.Ordinal).Replace(TemplateVersion, RunStamp.Version, StringComparison.Ordinal);
    }
}
