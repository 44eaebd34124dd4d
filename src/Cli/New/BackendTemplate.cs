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
    /// <param name="name">The backend's name.</param>
    /// <param name="folder">Where to.</param>
    /// <param name="variant">What it begins with beside what all have: <c>cpu</c> or <c>cuda</c>.</param>
    /// <returns>The files, by their paths in the folder.</returns>
    /// <exception cref="MoeException">The folder or a file cannot be written.</exception>
    public static IReadOnlyList<string> Write(string name, string folder, string variant)
    {
        var files = new List<string>();
        Assembly own = typeof(BackendTemplate).Assembly;
        string[] parts = [$"{Prefix}common/", $"{Prefix}{variant}/"];
        foreach (string resource in own.GetManifestResourceNames())
        {
            string path = resource.Replace('\\', '/');
            if (parts.FirstOrDefault(part => path.StartsWith(part, StringComparison.Ordinal)) is not { } part)
            {
                continue;
            }

            string file = Rename(path[part.Length..]);
            string target = Path.Combine(folder, file);
            MakeFolder(Path.GetDirectoryName(target)!);
            using var reader = new StreamReader(own.GetManifestResourceStream(resource)!);
            WholeFile.Write(target, Rename(reader.ReadToEnd()));
            files.Add(file);
        }

        // What it is built with, so that it builds where no feed has it.
        MakeFolder(Path.Combine(folder, Packages));
        foreach (string package in Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, Packages)))
        {
            string file = $"{Packages}/{Path.GetFileName(package)}";
            WholeFile.Write(Path.Combine(folder, file), stream => stream.Write(File.ReadAllBytes(package)));
            files.Add(file);
        }

        return files;

        string Rename(string text) =>
            text.Replace(TemplateName, name, StringComparison.Ordinal).Replace(TemplateVersion, RunStamp.Version, StringComparison.Ordinal);
    }

    private static void MakeFolder(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"'{PlainText.Of(folder)}' cannot be made: {PlainText.Of(exception.Message)}", exception);
        }
    }
}
