using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>A library's words for what the command line has options for.</summary>
internal static class OwnWords
{
    /// <summary>A message of a library's in the words of the command line.</summary>
    public static string Of(string message) => message
        .Replace($"{nameof(GptOssOptions)}.{nameof(GptOssOptions.MaxContext)}", ModelOptions.Context.Name, StringComparison.Ordinal)
        .Replace($"{nameof(GptOssOptions)}.{nameof(GptOssOptions.Backend)}", CommandOptions.Backend.Name, StringComparison.Ordinal)
        .Replace("Give token ids instead.", $"{GenerateCommand.PromptIds.Name} takes token ids instead.", StringComparison.Ordinal);
}
