namespace Moe.Plugins.Cli;

/// <summary>A result of `moe bench padding` on disk, with its picture.</summary>
/// <param name="Result">What was measured.</param>
/// <param name="Picture">Path of the picture beside it, as a readme writes it; null where there is none.</param>
internal sealed record PaddingFile(PaddingResult Result, string? Picture)
{
    /// <summary>Reads a result.</summary>
    /// <param name="path">The JSON file.</param>
    /// <param name="folder">The readme's folder, which the picture's path is relative to.</param>
    /// <exception cref="MoeException">The file is not there, or is no result.</exception>
    public static PaddingFile Load(string path, string folder) => new(PaddingResult.Load(path), ResultFile.PictureBeside(path, folder));
}
