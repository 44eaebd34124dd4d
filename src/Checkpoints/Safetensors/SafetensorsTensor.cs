using System.Globalization;

namespace Moe.Plugins.Checkpoints;

/// <summary>One tensor of a safetensors file, as its header describes it.</summary>
public sealed class SafetensorsTensor
{
    private readonly string? _unknownType;

    internal SafetensorsTensor(string name, SafetensorsType type, string? unknownType, long[] shape, long offset, long byteCount)
    {
        Name = name;
        Type = type;
        _unknownType = unknownType;
        Shape = shape;
        Offset = offset;
        ByteCount = byteCount;
    }

    /// <summary>The tensor's name, unique in its file.</summary>
    public string Name { get; }

    /// <summary>What one element is.</summary>
    public SafetensorsType Type { get; }

    /// <summary>The type's name in the header, also where it is <see cref="SafetensorsType.Unknown"/>.</summary>
    public string TypeName => _unknownType ?? Type.Name();

    /// <summary>Sizes, outermost first; empty for a single number.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>Where the elements start, in bytes from the start of the file's data. Nothing aligns it.</summary>
    public long Offset { get; }

    /// <summary>Bytes of all elements.</summary>
    public long ByteCount { get; }

    /// <summary>Type and sizes, <c>U8 [8, 320, 6, 16]</c>.</summary>
    public override string ToString() => Describe(TypeName, Shape);

    internal static string Describe(string type, IEnumerable<long> shape) =>
        string.Create(CultureInfo.InvariantCulture, $"{PlainText.Of(type)} [{PlainText.Of(string.Join(", ", shape))}]");
}
