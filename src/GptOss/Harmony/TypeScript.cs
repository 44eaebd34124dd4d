using System.Text;
using System.Text.Json;

namespace Moe.Plugins.GptOss;

/// <summary>Functions as the model was taught to read them: TypeScript, made from JSON schemas (openai/harmony, <c>src/encoding.rs</c>).</summary>
internal static class TypeScript
{
    private const string Step = "    ";

    /// <summary>A function's comment and type.</summary>
    /// <exception cref="ArgumentException">Its schema has text that is no Unicode.</exception>
    public static string Declare(HarmonyFunction function)
    {
        try
        {
            return Write(function);
        }
        catch (InvalidOperationException exception)
        {
            // JSON is text only when it is asked for: half a surrogate pair is found no sooner.
            throw new ArgumentException($"The schema of the function '{PlainText.Of(function.Name)}' has text that is no Unicode.", exception);
        }
    }

    private static string Write(HarmonyFunction function)
    {
        var text = new StringBuilder();
        foreach (string line in function.Description.Length == 0 ? [] : function.Description.Split('\n'))
        {
            text.Append("// ").Append(line).Append('\n');
        }

        bool hasParameters = TryGet(function.Parameters, "properties", JsonValueKind.Object, out JsonElement properties) && properties.EnumerateObject().Any();
        text.Append("type ").Append(function.Name);
        return hasParameters
            ? text.Append(" = (_: ").Append(TypeOf(function.Parameters, "")).Append(") => any;").ToString()
            : text.Append(" = () => any;").ToString();
    }

    private static string TypeOf(JsonElement schema, string indent)
    {
        if (TryGet(schema, "oneOf", JsonValueKind.Array, out JsonElement variants))
        {
            return string.Concat(variants.EnumerateArray().Select(variant => $"\n{indent} | {Variant(variant, indent)}{Trailing(variant, withDescription: true)}"));
        }

        if (TryGet(schema, "type", JsonValueKind.Array, out JsonElement types))
        {
            return string.Join(" | ", types.EnumerateArray().Select(type => NameOf(type.GetString())));
        }

        if (!TryGet(schema, "type", JsonValueKind.String, out JsonElement kind))
        {
            return "any";
        }

        return kind.GetString() switch
        {
            "object" => ObjectType(schema, indent),
            "array" => TryGet(schema, "items", JsonValueKind.Object, out JsonElement items) ? $"{TypeOf(items, indent)}[]" : "Array<any>",
            "string" when IsEnum(schema) => string.Join(" | ", schema.GetProperty("enum").EnumerateArray().Select(value => $"\"{value}\"")),
            string name => NameOf(name),
            null => "any",
        };
    }

    private static string NameOf(string? type) => type switch
    {
        "integer" => "number",
        "string" or "number" or "boolean" or "null" or "object" or "array" => type,
        _ => "any",
    };

    private static string ObjectType(JsonElement schema, string indent)
    {
        var text = new StringBuilder();
        Comment(text, schema, "description", indent);
        text.Append("{\n");
        if (TryGet(schema, "properties", JsonValueKind.Object, out JsonElement properties))
        {
            var required = new HashSet<string?>(StringComparer.Ordinal);
            if (TryGet(schema, "required", JsonValueKind.Array, out JsonElement names))
            {
                required.UnionWith(names.EnumerateArray().Select(name => name.GetString()));
            }

            foreach (JsonProperty property in properties.EnumerateObject())
            {
                Property(text, property.Name + (required.Contains(property.Name) ? "" : "?"), property.Value, indent);
            }
        }

        return text.Append(indent).Append('}').ToString();
    }

    private static void Property(StringBuilder text, string name, JsonElement schema, string indent)
    {
        if (Comment(text, schema, "title", indent))
        {
            text.Append(indent).Append("//\n");
        }

        Comment(text, schema, "description", indent);
        if (TryGet(schema, "examples", JsonValueKind.Array, out JsonElement examples) && examples.GetArrayLength() > 0)
        {
            text.Append(indent).Append("// Examples:\n");
            foreach (JsonElement example in examples.EnumerateArray().Where(example => example.ValueKind == JsonValueKind.String))
            {
                text.Append(indent).Append("// - \"").Append(example.GetString()).Append("\"\n");
            }
        }

        text.Append(indent).Append(name).Append(':');
        if (!TryGet(schema, "oneOf", JsonValueKind.Array, out JsonElement variants))
        {
            text.Append(' ').Append(Variant(schema, indent)).Append(',').Append(Trailing(schema, withDescription: false)).Append('\n');
            return;
        }

        // A union is a line for each of its types. What was said above the property is not said again at the first.
        bool isSaid = TryGet(schema, "description", JsonValueKind.String, out _);
        text.Append('\n');
        foreach (JsonElement variant in variants.EnumerateArray())
        {
            text.Append(indent).Append(" | ").Append(Variant(variant, indent)).Append(Trailing(variant, withDescription: !isSaid)).Append('\n');
            isSaid = false;
        }

        text.Append(indent).Append(",\n");
    }

    private static string Variant(JsonElement schema, string indent)
    {
        string type = TypeOf(schema, indent + Step);
        bool isNullable = TryGet(schema, "nullable", JsonValueKind.True, out _) && !type.Contains("null", StringComparison.Ordinal);
        return isNullable ? $"{type} | null" : type;
    }

    private static string Trailing(JsonElement schema, bool withDescription)
    {
        var comments = new List<string>();
        if (withDescription && TryGet(schema, "description", JsonValueKind.String, out JsonElement description))
        {
            comments.Add(description.GetString()!);
        }

        if (schema.ValueKind == JsonValueKind.Object && schema.TryGetProperty("default", out JsonElement value))
        {
            comments.Add($"default: {(value.ValueKind != JsonValueKind.String ? value.GetRawText() : IsEnum(schema) ? value.GetString() : $"\"{value.GetString()}\"")}");
        }

        return comments.Count == 0 ? "" : $" // {string.Join(' ', comments)}";
    }

    private static bool Comment(StringBuilder text, JsonElement schema, string name, string indent)
    {
        if (!TryGet(schema, name, JsonValueKind.String, out JsonElement value))
        {
            return false;
        }

        text.Append(indent).Append("// ").Append(value.GetString()).Append('\n');
        return true;
    }

    private static bool IsEnum(JsonElement schema) => TryGet(schema, "enum", JsonValueKind.Array, out JsonElement values) && values.GetArrayLength() > 0;

    private static bool TryGet(JsonElement schema, string name, JsonValueKind kind, out JsonElement value)
    {
        value = default;
        return schema.ValueKind == JsonValueKind.Object && schema.TryGetProperty(name, out value) && value.ValueKind == kind;
    }
}
