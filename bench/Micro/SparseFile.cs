using System.Buffers.Binary;
using System.Text;

namespace Moe.Plugins.Micro;

/// <summary>Safetensors files of zeros that nobody ever writes: a header, and a length.</summary>
internal static class SparseFile
{
    private static readonly Dictionary<string, int> ElementBytes = new() { ["BF16"] = 2, ["U8"] = 1 };

    /// <summary>Writes a file of some tensors, one after the other.</summary>
    public static void Write(string path, IEnumerable<(string Name, string Type, long[] Sizes)> tensors)
    {
        var header = new StringBuilder("{");
        long offset = 0;
        foreach ((string name, string type, long[] sizes) in tensors)
        {
            long end = offset + (sizes.Aggregate(1L, (product, size) => product * size) * ElementBytes[type]);
            header.Append(header.Length > 1 ? "," : "");
            header.Append($"\"{name}\":{{\"dtype\":\"{type}\",\"shape\":[{string.Join(',', sizes)}],\"data_offsets\":[{offset},{end}]}}");
            offset = end;
        }

        byte[] json = Encoding.UTF8.GetBytes(header.Append('}').ToString());
        byte[] length = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(length, json.Length);
        using FileStream file = File.Create(path);
        file.Write(length);
        file.Write(json);
        file.SetLength(length.Length + json.Length + offset);
    }

    /// <summary>The tensors of a gpt-oss-120b layer as the checkpoint has them, 1.7 GB.</summary>
    public static IEnumerable<(string Name, string Type, long[] Sizes)> GptOssLayer(int layer)
    {
        const int hidden = 2880, experts = 128, blocks = hidden / 32;
        string prefix = $"model.layers.{layer}.mlp";
        yield return ($"{prefix}.router.weight", "BF16", [experts, hidden]);
        yield return ($"{prefix}.router.bias", "BF16", [experts]);
        yield return ($"{prefix}.experts.gate_up_proj_blocks", "U8", [experts, 2 * hidden, blocks, 16]);
        yield return ($"{prefix}.experts.gate_up_proj_scales", "U8", [experts, 2 * hidden, blocks]);
        yield return ($"{prefix}.experts.gate_up_proj_bias", "BF16", [experts, 2 * hidden]);
        yield return ($"{prefix}.experts.down_proj_blocks", "U8", [experts, hidden, blocks, 16]);
        yield return ($"{prefix}.experts.down_proj_scales", "U8", [experts, hidden, blocks]);
        yield return ($"{prefix}.experts.down_proj_bias", "BF16", [experts, hidden]);
    }
}
