using System.Text.Encodings.Web;
using System.Text.Json;

namespace Moe.Plugins.Cli;

/// <summary>What was measured, as files.</summary>
internal static class BenchJson
{
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        RespectNullableAnnotations = true,
    };

    /// <summary>Reads a file.</summary>
    /// <exception cref="MoeException">It is not there, or is not <paramref name="what"/>.</exception>
    public static T Load<T>(string path, string what)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(File.ReadAllBytes(path), Json) ?? throw new JsonException("it holds nothing");
        }
        catch (JsonException exception)
        {
            throw new MoeException(MoeReason.Configuration, $"'{path}' is not {what}: {exception.Message}", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"'{path}' cannot be read: {exception.Message}", exception);
        }
    }

    /// <summary>Whether a file is an object without such a property.</summary>
    /// <exception cref="MoeException">It is not there, or is no object.</exception>
    public static bool Lacks(string path, string property) => !Load<Dictionary<string, JsonElement>>(path, "a result of `moe bench --json`").ContainsKey(property);

    /// <summary>Writes a file anew: whoever reads it, or kills this program, finds it whole.</summary>
    /// <exception cref="MoeException">It cannot be written.</exception>
    public static void Save<T>(string path, T value)
    {
        try
        {
            string fresh = $"{path}.new";
            File.WriteAllText(fresh, JsonSerializer.Serialize(value, Json) + Environment.NewLine);
            File.Move(fresh, path, overwrite: true);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"'{path}' cannot be written: {exception.Message}", exception);
        }
    }
}
