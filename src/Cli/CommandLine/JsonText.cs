using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Moe.Plugins.Cli;

/// <summary>Writes one JSON value for a program that reads standard output. Names are snake_case.</summary>
internal static class JsonText
{
    private static readonly JsonWriterOptions Options = new()
    {
        Indented = true,

        // The reader is no HTML page: paths and arrows stay as they are.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Writes an object whose properties <paramref name="write"/> writes.</summary>
    public static void WriteObject(TextWriter output, Action<Utf8JsonWriter> write) => Write(output, writer =>
    {
        writer.WriteStartObject();
        write(writer);
        writer.WriteEndObject();
    });

    /// <summary>Writes an array of objects, the properties of each of which <paramref name="write"/> writes.</summary>
    public static void WriteArray<T>(TextWriter output, IEnumerable<T> items, Action<Utf8JsonWriter, T> write) => Write(output, writer =>
    {
        writer.WriteStartArray();
        foreach (T item in items)
        {
            writer.WriteStartObject();
            write(writer, item);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    });

    /// <summary>Writes a number, or null where there is none or JSON has no way to say it.</summary>
    public static void WriteNumberOrNull(this Utf8JsonWriter writer, string name, double? value)
    {
        if (value is double number && double.IsFinite(number))
        {
            writer.WriteNumber(name, number);
        }
        else
        {
            writer.WriteNull(name);
        }
    }

    /// <summary>Writes a whole number, or null where there is none.</summary>
    public static void WriteNumberOrNull(this Utf8JsonWriter writer, string name, long? value)
    {
        if (value is long number)
        {
            writer.WriteNumber(name, number);
        }
        else
        {
            writer.WriteNull(name);
        }
    }

    /// <summary>Writes a truth, or null where it is not known.</summary>
    public static void WriteBooleanOrNull(this Utf8JsonWriter writer, string name, bool? value)
    {
        if (value is bool known)
        {
            writer.WriteBoolean(name, known);
        }
        else
        {
            writer.WriteNull(name);
        }
    }

    /// <summary>Writes a layer's own sizes under <c>shape</c>.</summary>
    public static void WriteShape(this Utf8JsonWriter writer, MoeLayerShape shape)
    {
        writer.WriteStartObject("shape");
        writer.WriteNumber("experts", shape.ExpertCount);
        writer.WriteNumber("hidden_size", shape.HiddenSize);
        writer.WriteNumber("intermediate_size", shape.IntermediateSize);
        writer.WriteNumber("top_k", shape.TopK);
        writer.WriteString("weight_format", LayerShapeText.Name(shape.WeightFormat));
        writer.WriteEndObject();
    }

    private static void Write(TextWriter output, Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Options))
        {
            write(writer);
        }

        output.WriteLine(Encoding.UTF8.GetString(buffer.WrittenSpan));
    }
}
