using System.Text.Json;

namespace Moe.Plugins;

/// <summary>
/// Refuses a plugin whose files for the loader lead out of its folder: <c>X.deps.json</c> by names of files, <c>X.runtimeconfig.json</c> and
/// <c>X.runtimeconfig.dev.json</c> by folders to look in. What lies there is neither hashed nor copied, and others may be able to write it.
/// </summary>
internal static class LoaderFilesCheck
{
    private const int MaxByteCount = 64 << 20;
    private const string ProbingPaths = "additionalProbingPaths";

    /// <exception cref="MoeException">A file leads elsewhere, or is none that can be looked through.</exception>
    public static void Check(string mainAssembly)
    {
        Read(Path.ChangeExtension(mainAssembly, ".deps.json"), RequireInside);
        Read(Path.ChangeExtension(mainAssembly, ".runtimeconfig.json"), RequireNoFolders);
        Read(Path.ChangeExtension(mainAssembly, ".runtimeconfig.dev.json"), RequireNoFolders);
    }

    // Those who load read less strictly: what one parser does not understand, another may.
    private static void Read(string path, Action<JsonElement, string> check)
    {
        if (!File.Exists(path))
        {
            return;
        }

        ReadOnlyMemory<byte> bytes = RegularFile.ReadAllBytes(path, MaxByteCount, MoeReason.Trust);
        ReadOnlySpan<byte> mark = [0xEF, 0xBB, 0xBF];
        try
        {
            using var document = JsonDocument.Parse(bytes.Span.StartsWith(mark) ? bytes[mark.Length..] : bytes);
            check(document.RootElement, Path.GetFileName(path));
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // A string that is no Unicode text is an invalid operation.
            throw new MoeException(MoeReason.Trust, $"Its {Path.GetFileName(path)} is not valid JSON: {exception.Message}", exception);
        }
    }

    // Files are names of members; folders of packages are values of "path", cultures of "locale".
    private static void RequireInside(JsonElement value, string file)
    {
        foreach (JsonElement item in value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : (JsonElement[])[])
        {
            RequireInside(item, file);
        }

        foreach (JsonProperty member in Members(value))
        {
            Require(member.Name, file);
            if (member.Value.ValueKind == JsonValueKind.String && (Is(member, "path") || Is(member, "locale")))
            {
                Require(member.Value.GetString()!, file);
            }

            RequireInside(member.Value, file);
        }
    }

    private static void Require(string path, string file)
    {
        bool leads = path.StartsWith('/') || path.StartsWith('\\') || path.Contains(':') || path.Any(char.IsControl)
            || path.Split('/', '\\').Any(static part => part.StartsWith("..", StringComparison.Ordinal) && part.Trim(' ', '.').Length == 0);
        if (leads)
        {
            throw new MoeException(
                MoeReason.Trust,
                $"Its {file} names '{PlainText.Of(path)}', which is not in its folder: what is loaded lies there, where it is hashed and copied.");
        }
    }

    private static void RequireNoFolders(JsonElement value, string file)
    {
        foreach (JsonProperty options in Members(value).Where(static member => Is(member, "runtimeOptions")))
        {
            foreach (JsonProperty option in Members(options.Value))
            {
                if (Is(option, ProbingPaths) && !(option.Value.ValueKind == JsonValueKind.Array && option.Value.GetArrayLength() == 0))
                {
                    throw new MoeException(
                        MoeReason.Trust,
                        $"Its {file} has {ProbingPaths}, folders outside of its own to load from: copy what it needs into its folder, and delete the file if it is "
                        + "one that a build wrote for development.");
                }

                // The name of the framework becomes a folder's.
                if (Is(option, "tfm"))
                {
                    Require(option.Value.GetString() ?? "", file);
                }
            }
        }
    }

    private static JsonProperty[] Members(JsonElement value) => value.ValueKind == JsonValueKind.Object ? [.. value.EnumerateObject()] : [];

    private static bool Is(JsonProperty member, string name) => member.Name.Equals(name, StringComparison.OrdinalIgnoreCase);
}
