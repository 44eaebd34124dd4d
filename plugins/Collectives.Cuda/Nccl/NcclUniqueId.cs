using System.Runtime.InteropServices;

namespace Moe.Plugins.Collectives;

/// <summary><c>ncclUniqueId</c>: 128 bytes, passed by value.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NcclUniqueId
{
    public const int ByteCount = 128;

    public fixed byte Bytes[ByteCount];
}
