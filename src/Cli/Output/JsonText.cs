using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Moe.Plugins.Cli;

/// <summary>Writes one JSON object for a program that reads standard output. Names are snake_case, and those of docs/cli.schema.json.</summary>
internal static class JsonText
{
    /// <summary>Writes an object whose properties <paramref name="write"/> writes.</summary>
    /// <param name="output">Where it goes.</param>
    /// <param name="write">Writes the properties.</param>
    /// <param name="isIndented">Whether it is laid out for a person too; else it is one line.</param>
    public static void WriteObject(TextWriter output, Action<Utf8JsonWriter> write, bool isIndented)
    {
        var options = new JsonWriterOptions
        {
            Indented = isIndented,

            // The reader is no HTML page: paths and arrows stay as they are.
            Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        };
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, options))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }

        output.WriteLine(EscapeHidden(Encoding.UTF8.GetString(buffer.WrittenSpan)));
    }

    /// <summary>Writes an array of texts.</summary>
    public static void WriteStrings(this Utf8JsonWriter writer, string name, IEnumerable<string> texts)
    {
        writer.WriteStartArray(name);
        foreach (string text in texts)
        {
            writer.WriteStringValue(text);
        }

        writer.WriteEndArray();
    }

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

    /// <summary>Whoever looks at an object at a terminal sees what is in its texts; a program reads the same texts as before.</summary>
    private static string EscapeHidden(string json)
    {
        var escaped = new StringBuilder(json.Length);
        foreach (Rune rune in json.EnumerateRunes())
        {
            if (rune.Value >= ' ' && PlainText.IsHidden(rune))
            {
                foreach (char unit in rune.ToString())
                {
                    escaped.Append(CultureInfo.InvariantCulture, $"\\u{(int)unit:X4}");
                }
            }
            else
            {
                escaped.Append(rune);
            }
        }

        return escaped.ToString();
    }
}
