namespace Moe.Plugins.Cli;

/// <summary>A result on disk, with its picture.</summary>
/// <param name="Result">What was measured.</param>
/// <param name="Picture">Path of the picture beside it, as a readme writes it; null where there is none.</param>
internal sealed record ResultFile(BenchResult Result, string? Picture)
{
    /// <summary>Reads a result.</summary>
    /// <param name="path">The JSON file.</param>
    /// <param name="folder">The readme's folder, which the picture's path is relative to.</param>
    /// <exception cref="MoeException">The file is not there, or is no result.</exception>
    public static ResultFile Load(string path, string folder) => new(BenchResult.Load(path), PictureBeside(path, folder));

    /// <summary>Path of the picture beside a result, as a readme writes it; null where there is none.</summary>
    public static string? PictureBeside(string path, string folder)
    {
        string picture = Path.ChangeExtension(path, ".png");
        return File.Exists(picture) ? Path.GetRelativePath(folder, picture).Replace('\\', '/') : null;
    }
}
