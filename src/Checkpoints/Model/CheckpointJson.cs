using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>Reads the JSON files that lie beside a model's tensors.</summary>
internal static class CheckpointJson
{
    /// <summary>Longest file that is read: several times the index of the largest models. A parsed file takes a multiple of its length.</summary>
    public const long MaxByteCount = 64L << 20;

    private static readonly JsonDocumentOptions Options = new() { AllowDuplicateProperties = false };

    /// <summary>Reads a file whose root is an object.</summary>
    /// <exception cref="MoeException">The file cannot be read, or is something else.</exception>
    public static T Read<T>(string path, Func<JsonElement, T> read)
    {
        try
        {
            using var document = JsonDocument.Parse(ReadBytes(path), Options);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? read(document.RootElement)
                : throw new MoeException(MoeReason.Checkpoint, $"'{path}' is not a JSON object.");
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // A string that is no Unicode text is reported as an invalid operation.
            throw new MoeException(MoeReason.Checkpoint, $"'{path}' is not valid JSON: {exception.Message}", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"'{path}' cannot be read: {exception.Message}", exception);
        }
    }

    private static byte[] ReadBytes(string path)
    {
        using FileStream stream = File.OpenRead(path);
        if (stream.Length > MaxByteCount)
        {
            throw new MoeException(MoeReason.Checkpoint, $"'{path}' has {stream.Length} bytes; at most {MaxByteCount} are read.");
        }

        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
