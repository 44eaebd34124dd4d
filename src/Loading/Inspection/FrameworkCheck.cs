using System.Text.Json;

namespace Moe.Plugins;

/// <summary>
/// Refuses a plugin that is built on a shared framework, such as ASP.NET Core's, that the program does not have: a framework lies in no plugin's
/// folder, and only the program can bring it in.
/// </summary>
internal static class FrameworkCheck
{
    private const string Runtime = "Microsoft.NETCore.App";
    private const int MaxByteCount = 1 << 20;

    public static void Check(string mainAssembly)
    {
        string config = Path.ChangeExtension(mainAssembly, ".runtimeconfig.json");
        if (!File.Exists(config) || Present() is not { } present)
        {
            return;
        }

        string? missing = Needed(RegularFile.ReadAllBytes(config, MaxByteCount, MoeReason.Trust)).FirstOrDefault(name => !present.Contains(name));
        if (missing is not null)
        {
            throw new MoeException(
                MoeReason.MissingDependency,
                $"It needs the shared framework {missing}, which this program does not have: add <FrameworkReference Include=\"{missing}\" /> to the program's project.");
        }
    }

    // What the SDK writes: runtimeOptions.framework, or frameworks where there are several. What is not so is read by nobody, and no fault here.
    private static List<string> Needed(byte[] config)
    {
        var names = new List<string>();
        try
        {
            using var document = JsonDocument.Parse(config);
            if (document.RootElement.TryGetProperty("runtimeOptions", out JsonElement options))
            {
                if (options.TryGetProperty("framework", out JsonElement one))
                {
                    names.Add(one.GetProperty("name").GetString()!);
                }

                if (options.TryGetProperty("frameworks", out JsonElement several))
                {
                    names.AddRange(several.EnumerateArray().Select(static framework => framework.GetProperty("name").GetString()!));
                }
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            return [];
        }

        return names;
    }

    /// <summary>The frameworks that the program runs on, <c>shared/NAME/VERSION</c>; null where it carries its own, and their names are lost.</summary>
    private static HashSet<string>? Present()
    {
        string files = AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") as string ?? "";
        HashSet<string> names =
        [
            .. files.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
                .Select(static file => Path.GetFileName(Path.GetDirectoryName(Path.GetDirectoryName(file))) ?? "")
                .Distinct(),
        ];
        return names.Contains(Runtime) ? names : null;
    }
}
