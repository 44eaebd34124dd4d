namespace Moe.Plugins.Checkpoints;

/// <summary>What a header says, checked against the file's length.</summary>
internal sealed record SafetensorsHeader(
    Dictionary<string, SafetensorsTensor> Tensors,
    IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>The name under which a header keeps strings instead of a tensor.</summary>
    public const string MetadataName = "__metadata__";

    /// <summary>Longest header that is read, the limit of the reference implementation.</summary>
    public const long MaxByteCount = 100_000_000;

    /// <summary>Bytes of the header's own length at the start of the file, little-endian.</summary>
    public const int LengthByteCount = 8;
}
