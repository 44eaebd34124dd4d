namespace Moe.Plugins.Checkpoints;

/// <summary>Element types of the safetensors format, under the names that a header gives them (without underscores).</summary>
public enum SafetensorsType
{
    /// <summary><c>BOOL</c>, one byte.</summary>
    Bool,

    /// <summary><c>F4</c>, two elements a byte.</summary>
    F4,

    /// <summary><c>F6_E2M3</c>, four elements in three bytes.</summary>
    F6E2M3,

    /// <summary><c>F6_E3M2</c>, four elements in three bytes.</summary>
    F6E3M2,

    /// <summary><c>U8</c>.</summary>
    U8,

    /// <summary><c>I8</c>.</summary>
    I8,

    /// <summary><c>F8_E5M2</c>.</summary>
    F8E5M2,

    /// <summary><c>F8_E4M3</c>.</summary>
    F8E4M3,

    /// <summary><c>F8_E8M0</c>, a power of two.</summary>
    F8E8M0,

    /// <summary><c>I16</c>.</summary>
    I16,

    /// <summary><c>U16</c>.</summary>
    U16,

    /// <summary><c>F16</c>, IEEE 754 binary16.</summary>
    F16,

    /// <summary><c>BF16</c>, the upper half of a binary32.</summary>
    BF16,

    /// <summary><c>I32</c>.</summary>
    I32,

    /// <summary><c>U32</c>.</summary>
    U32,

    /// <summary><c>F32</c>.</summary>
    F32,

    /// <summary><c>C64</c>, two binary32.</summary>
    C64,

    /// <summary><c>I64</c>.</summary>
    I64,

    /// <summary><c>U64</c>.</summary>
    U64,

    /// <summary><c>F64</c>.</summary>
    F64,

    /// <summary>A type that is not of the format as it is known here; its tensor can be skipped, and not read.</summary>
    Unknown,
}
