using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>A library's words for what the command line has options for.</summary>
internal static class OwnWords
{
    /// <summary>A library's words for a backend that a request names.</summary>
    private const string Named = "the request names";

    /// <summary>A message on a backend that nobody named: a command has it by default.</summary>
    public static string OfDefault(string message) => message.Replace(
        $"which {Named}", $"which is taken where {CommandOptions.Backend.Name} names none", StringComparison.Ordinal);

    /// <summary>A message of a library's in the words of the command line.</summary>
    public static string Of(string message) => message
        .Replace($"{nameof(GptOssOptions)}.{nameof(GptOssOptions.MaxContext)}", ModelOptions.Context.Name, StringComparison.Ordinal)
        .Replace(Named, $"{CommandOptions.Backend.Name} names", StringComparison.Ordinal)
        .Replace("Give token ids instead.", $"{GenerateCommand.PromptIds.Name} takes token ids instead.", StringComparison.Ordinal);
}
