using System.Text.Json;

namespace Moe.Plugins;

/// <summary>Reads the JSON files that lie beside a model's tensors.</summary>
internal static class JsonFile
{
    /// <summary>Longest config that is read, hundreds of times any model's. A parsed file takes a multiple of its length.</summary>
    private const long MostBytes = 16L << 20;

    private static readonly JsonDocumentOptions Options = new() { AllowDuplicateProperties = false };

    /// <summary>Reads a file whose root is an object.</summary>
    /// <exception cref="MoeException">The file cannot be read, or is something else.</exception>
    public static JsonElement Read(string path, long most = MostBytes)
    {
        byte[] bytes = SmallFile.Read(path, most);
        return Guard(path, () =>
        {
            JsonElement root = JsonDocument.Parse(bytes, Options).RootElement;
            RequireText(root);
            return root.ValueKind == JsonValueKind.Object
                ? root
                : throw new MoeException(MoeReason.Checkpoint, $"'{PlainText.Of(path)}' is not a JSON object.");
        });
    }

    /// <summary>Runs what parses a file, and names the file in what it throws.</summary>
    /// <exception cref="MoeException">The file is not valid JSON.</exception>
    public static T Guard<T>(string path, Func<T> parse)
    {
        try
        {
            return parse();
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // A string that is no Unicode text is reported as an invalid operation.
            throw new MoeException(
                MoeReason.Checkpoint, $"'{PlainText.Of(path)}' is not valid JSON: {PlainText.Of(exception.Message)}", exception);
        }
    }

    // Text is decoded when it is asked for; a fault in it is to be found now, and not somewhere in the middle of a layer.
    private static void RequireText(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (JsonProperty property in value.EnumerateObject())
                {
                    _ = property.Name;
                    RequireText(property.Value);
                }

                break;
            case JsonValueKind.Array:
                foreach (JsonElement item in value.EnumerateArray())
                {
                    RequireText(item);
                }

                break;
            case JsonValueKind.String:
                _ = value.GetString();
                break;
        }
    }
}
