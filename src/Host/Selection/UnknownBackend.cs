namespace Moe.Plugins;

/// <summary>Says that a configured id is none of the plugins found, what was found and where it was looked for.</summary>
internal static class UnknownBackend
{
    public static string Describe(string id, string source, MoeSelectionReport report) =>
        Describe(id, source, [.. report.Candidates.Select(c => c.Id)], report.Folders);

    public static string Describe(string id, string source, IReadOnlyList<string> found, IReadOnlyList<string> folders)
    {
        string[] names = [.. found.Distinct(StringComparer.OrdinalIgnoreCase).Order(StringComparer.OrdinalIgnoreCase)];
        return $"{source} names the backend '{PlainText.Of(id)}', which was not found.{DidYouMean.Ask(id, names)} "
            + $"Found: {(names.Length == 0 ? "none" : string.Join(", ", names))}. "
            + $"Looked in: {(folders.Count == 0 ? "no folder" : string.Join(", ", folders.Select(static folder => PlainText.Of(folder))))}.";
    }
}
