using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary><c>CUipcMemHandle</c>: 64 bytes, passed by value.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct CuIpcMemHandle
{
    public const int ByteCount = 64;

    public fixed byte Bytes[ByteCount];
}
