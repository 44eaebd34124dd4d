using System.Text.Encodings.Web;
using System.Text.Json;

namespace Moe.Plugins.Cli;

/// <summary>What was measured, as files.</summary>
internal static class BenchJson
{
    /// <summary>Larger than any result or list of figures.</summary>
    private const long MostBytes = 64 << 20;

    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
    };

    /// <summary>Reads a file.</summary>
    /// <exception cref="MoeException">It is not there, or is not <paramref name="what"/>.</exception>
    public static T Load<T>(string path, string what)
    {
        try
        {
            using var document = JsonDocument.Parse(SmallFile.Read(path, MostBytes));
            RequireItems(document.RootElement);
            return document.RootElement.Deserialize<T>(Json) ?? throw new JsonException("it holds nothing");
        }
        catch (JsonException exception)
        {
            throw new MoeException(MoeReason.Configuration, $"'{PlainText.Of(path)}' is not {what}: {PlainText.Of(exception.Message)}", exception);
        }
    }

    // The serializer checks properties for null, and not the items of lists.
    private static void RequireItems(JsonElement value)
    {
        foreach (JsonElement part in value.ValueKind switch
        {
            JsonValueKind.Array => value.EnumerateArray().AsEnumerable(),
            JsonValueKind.Object => value.EnumerateObject().Select(static property => property.Value),
            _ => [],
        })
        {
            if (value.ValueKind == JsonValueKind.Array && part.ValueKind == JsonValueKind.Null)
            {
                throw new JsonException("a list has an item that is null");
            }

            RequireItems(part);
        }
    }

    /// <summary>Whether a file is an object without such a property.</summary>
    /// <exception cref="MoeException">It is not there, or is no object.</exception>
    public static bool Lacks(string path, string property) => !Load<Dictionary<string, JsonElement>>(path, "a result of `moe bench --output`").ContainsKey(property);

    /// <summary>Writes a file whole: whoever reads it, or kills this program, finds all of it.</summary>
    /// <exception cref="MoeException">It cannot be written.</exception>
    public static void Save<T>(string path, T value) => WholeFile.Write(path, JsonSerializer.Serialize(value, Json) + Environment.NewLine);

    /// <summary>Writes the properties of what a file would hold.</summary>
    public static void Write<T>(Utf8JsonWriter writer, T value)
    {
        foreach (JsonProperty property in JsonSerializer.SerializeToElement(value, Json).EnumerateObject())
        {
            property.WriteTo(writer);
        }
    }
}
