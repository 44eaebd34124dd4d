using System.Collections.Frozen;

namespace Moe.Plugins.Checkpoints;

/// <summary>Names and sizes of <see cref="SafetensorsType"/> (safetensors <c>tensor.rs</c>, <c>enum Dtype</c>).</summary>
internal static class SafetensorsTypes
{
    private static readonly (SafetensorsType Type, string Name, int Bits)[] Table =
    [
        (SafetensorsType.Bool, "BOOL", 8),
        (SafetensorsType.F4, "F4", 4),
        (SafetensorsType.F6E2M3, "F6_E2M3", 6),
        (SafetensorsType.F6E3M2, "F6_E3M2", 6),
        (SafetensorsType.U8, "U8", 8),
        (SafetensorsType.I8, "I8", 8),
        (SafetensorsType.F8E5M2, "F8_E5M2", 8),
        (SafetensorsType.F8E4M3, "F8_E4M3", 8),
        (SafetensorsType.F8E8M0, "F8_E8M0", 8),
        (SafetensorsType.I16, "I16", 16),
        (SafetensorsType.U16, "U16", 16),
        (SafetensorsType.F16, "F16", 16),
        (SafetensorsType.BF16, "BF16", 16),
        (SafetensorsType.I32, "I32", 32),
        (SafetensorsType.U32, "U32", 32),
        (SafetensorsType.F32, "F32", 32),
        (SafetensorsType.C64, "C64", 64),
        (SafetensorsType.I64, "I64", 64),
        (SafetensorsType.U64, "U64", 64),
        (SafetensorsType.F64, "F64", 64),

        // Of other types only the bytes are known.
        (SafetensorsType.Unknown, "an unknown dtype", 0),
    ];

    private static readonly FrozenDictionary<string, SafetensorsType> ByName =
        Table[..(int)SafetensorsType.Unknown].ToFrozenDictionary(row => row.Name, row => row.Type, StringComparer.Ordinal);

    public static bool TryParse(string name, out SafetensorsType type) => ByName.TryGetValue(name, out type);

    public static string Name(this SafetensorsType type) => Table[(int)type].Name;

    /// <summary>Bits of one element; a tensor's bits must fill whole bytes.</summary>
    public static int Bits(this SafetensorsType type) => Table[(int)type].Bits;

    /// <summary>The contract's type of the same bits, or null where it has none. U32 is bytes: MLX packs eight FP4 codes into one.</summary>
    public static MoeElementType? ElementType(this SafetensorsType type) => type switch
    {
        SafetensorsType.U8 or SafetensorsType.U32 => MoeElementType.UInt8,
        SafetensorsType.I8 => MoeElementType.Int8,
        SafetensorsType.F8E4M3 => MoeElementType.Float8E4M3,
        SafetensorsType.F8E8M0 => MoeElementType.Float8E8M0,
        SafetensorsType.I32 => MoeElementType.Int32,
        SafetensorsType.I64 => MoeElementType.Int64,
        SafetensorsType.BF16 => MoeElementType.BFloat16,
        SafetensorsType.F16 => MoeElementType.Float16,
        SafetensorsType.F32 => MoeElementType.Float32,
        _ => null,
    };
}
