namespace Moe.Plugins.GptOss.Tests;

/// <summary>Tokenizers that take long to make.</summary>
internal static class Tokenizers
{
    /// <summary>o200k_harmony, as a folder without tokenizer.json has it.</summary>
    public static GptOssTokenizer Published { get; } = GptOssTokenizer.Open(Golden.Folder, 201088);
}
