using System.Globalization;
using System.Text;

namespace Moe.Plugins.GptOss;

/// <summary>The two messages that a conversation begins with (openai/harmony, <c>src/encoding.rs</c>, <c>Render&lt;SystemContent&gt;</c>).</summary>
internal static class HarmonyPrompt
{
    /// <summary>The system message. An application's own instructions are the developer's.</summary>
    /// <param name="date">Today; null leaves it out, so that the same conversation is the same tokens tomorrow.</param>
    /// <param name="effort">low, medium or high.</param>
    /// <param name="hasFunctions">Whether the developer's message has functions.</param>
    public static HarmonyMessage System(DateOnly? date, string effort, bool hasFunctions)
    {
        var text = new StringBuilder("You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n");
        if (date is DateOnly day)
        {
            text.Append(CultureInfo.InvariantCulture, $"Current date: {day:yyyy-MM-dd}\n");
        }

        text.Append(CultureInfo.InvariantCulture, $"\nReasoning: {effort}\n\n");
        text.Append("# Valid channels: analysis, commentary, final. Channel must be included for every message.");
        if (hasFunctions)
        {
            text.Append("\nCalls to these tools must go to the commentary channel: 'functions'.");
        }

        return new HarmonyMessage { Author = HarmonyRole.System, Content = text.ToString() };
    }

    /// <summary>The developer message; null where there is nothing to say.</summary>
    public static HarmonyMessage? Developer(string? instructions, IReadOnlyList<HarmonyFunction> functions, HarmonyFormat? format)
    {
        var sections = new List<string>();
        if (!string.IsNullOrEmpty(instructions))
        {
            sections.Add($"# Instructions\n\n{instructions}");
        }

        if (functions.Count > 0)
        {
            string declared = string.Join("\n\n", functions.Select(TypeScript.Declare));
            sections.Add($"# Tools\n\n## functions\n\nnamespace functions {{\n\n{declared}\n\n}} // namespace functions");
        }

        if (format is not null)
        {
            string description = string.IsNullOrEmpty(format.Description) ? "" : $"// {format.Description}\n";
            sections.Add($"# Response Formats\n\n## {format.Name}\n\n{description}{format.Schema.GetRawText()}");
        }

        return sections.Count == 0
            ? null
            : new HarmonyMessage { Author = HarmonyRole.Developer, Content = string.Join("\n\n", sections) };
    }
}
