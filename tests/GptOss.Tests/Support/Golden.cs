using System.Runtime.InteropServices;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.GptOss.Tests;

/// <summary>The tiny model, and what transformers computed from it in float64.</summary>
internal static class Golden
{
    public static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "golden", "gpt-oss-tiny");

    private static readonly SafetensorsFile Expected = SafetensorsFile.Open(Path.Combine(Folder, "expected.safetensors"));

    public static int[] Prompt { get; } = ReadIds("prompt");

    public static int[] Generated { get; } = ReadIds("generated");

    /// <summary>Prompt and generated tokens.</summary>
    public static int[] Text { get; } = [.. Prompt, .. Generated];

    /// <summary>[tokens, vocabulary] after each token of the text.</summary>
    public static float[] Logits { get; } = ReadFloats("logits");

    /// <summary>[tokens, hidden] of the embedding, then after each layer; the last one after the final norm.</summary>
    public static float[] Hidden(int layer) => ReadFloats($"hidden.{layer}");

    private static int[] ReadIds(string name) => [.. MemoryMarshal.Cast<byte, long>(Bytes(name)).ToArray().Select(id => (int)id)];

    private static float[] ReadFloats(string name) => MemoryMarshal.Cast<byte, float>(Bytes(name)).ToArray();

    private static unsafe ReadOnlySpan<byte> Bytes(string name)
    {
        SafetensorsTensor tensor = Expected.Tensors[name];
        return new ReadOnlySpan<byte>((void*)Expected.GetAddress(tensor), (int)tensor.ByteCount);
    }
}
