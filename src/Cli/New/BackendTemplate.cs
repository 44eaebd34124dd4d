using System.Reflection;

namespace Moe.Plugins.Cli;

/// <summary>The template's files, which are part of the program, and their renaming.</summary>
internal static class BackendTemplate
{
    private const string Prefix = "moe-backend/";
    private const string TemplateName = "Contoso.MyBackend";
    private const string Packages = "packages";
    private const string TemplateVersion = "MOE_PLUGINS_VERSION";

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

        // What it is built with, so that it builds where no feed has it.
        string packages = Path.Combine(folder, Packages);
        Directory.CreateDirectory(packages);
        foreach (string package in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, Packages)))
        {
            File.Copy(package, Path.Combine(packages, Path.GetFileName(package)));
        }

        string Rename(string text) =>
            text.Replace(TemplateName, name, StringComparison.Ordinal).Replace(TemplateVersion, RunStamp.Version, StringComparison.Ordinal);
    }
}
