namespace Moe.Plugins;

/// <summary>Sizes of <see cref="MoeElementType"/>.</summary>
public static class MoeElementTypeExtensions
{
    /// <summary>Bytes that one element takes.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="type"/> is no defined element type.</exception>
    public static int ByteSize(this MoeElementType type) => type.ByteSize(nameof(type));

    /// <summary>The same of an argument of another name.</summary>
    internal static int ByteSize(this MoeElementType type, string name) => type switch
    {
        MoeElementType.UInt8 or MoeElementType.Int8 or MoeElementType.Float8E4M3 or MoeElementType.Float8E8M0 => 1,
        MoeElementType.BFloat16 or MoeElementType.Float16 => 2,
        MoeElementType.Int32 or MoeElementType.Float32 => 4,
        MoeElementType.Int64 => 8,
        _ => throw new ArgumentOutOfRangeException(name, type, "Not an element type of this contract."),
    };
}
