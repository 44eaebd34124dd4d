namespace Moe.Plugins.Checkpoints;

/// <summary>Says of a file that is no safetensors file what it is instead, and what to do about it.</summary>
internal static class OtherFormat
{
    /// <summary>Bytes that are enough to tell.</summary>
    public const int LongestMark = 32;

    /// <summary>What a file that begins so is; null where nobody knows.</summary>
    public static string? Recognize(ReadOnlySpan<byte> start)
    {
        if (start.StartsWith("version https://git-lfs"u8))
        {
            return "it is a Git LFS pointer, which stands for the file; fetch the file itself with `git lfs pull`";
        }

        if (start.StartsWith("GGUF"u8))
        {
            return "it is a GGUF file, which is not read here; the model's safetensors files are expected";
        }

        if (start.StartsWith("PK"u8) || start is [0x80, 0x02, ..])
        {
            return "it is a zip or pickle file, as PyTorch writes them, which are not read here; the model's safetensors files are expected";
        }

        if (start.TrimStart(" \t\r\n"u8).StartsWith("<"u8))
        {
            return "it is an HTML or XML page, as a failed download leaves; download the file again";
        }

        return start.StartsWith("{"u8) ? "it is a JSON file; of a model in several files, open the folder that has the index" : null;
    }
}
