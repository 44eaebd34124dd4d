using System.CommandLine;
using Microsoft.Extensions.AI;

namespace Moe.Plugins.Cli;

/// <summary>What a command line says about answers.</summary>
internal static class ChatRequest
{
    public static ChatOptions Options(ParseResult result, bool ignoresStops = false)
    {
        var options = new ChatOptions
        {
            Instructions = result.GetValue(ModelOptions.System),
            MaxOutputTokens = result.GetValue(ModelOptions.MaxTokens),
            Temperature = (float?)result.GetValue(ModelOptions.Temperature),
            TopP = (float?)result.GetValue(ModelOptions.TopP),
            Seed = result.GetValue(ModelOptions.Seed),
            Reasoning = result.GetValue(ModelOptions.Effort) switch
            {
                "low" => new ReasoningOptions { Effort = ReasoningEffort.Low },
                "high" => new ReasoningOptions { Effort = ReasoningEffort.High },
                _ => null,
            },
            AdditionalProperties = new() { ["ignore_eos"] = ignoresStops },
        };
        if (result.GetValue(ModelOptions.MinP) is double minP)
        {
            options.AdditionalProperties["min_p"] = minP;
        }

        return options;
    }
}
