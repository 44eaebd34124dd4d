using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary><c>CUlaunchAttribute</c> (cuda.h): an id, and at byte 8 a union of 64 bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = 72)]
internal struct CuLaunchAttribute
{
    internal const uint ClusterDimension = 4;
    internal const uint ProgrammaticStreamSerialization = 6;

    [FieldOffset(0)]
    internal uint Id;

    [FieldOffset(8)]
    internal uint ClusterX;

    [FieldOffset(12)]
    internal uint ClusterY;

    [FieldOffset(16)]
    internal uint ClusterZ;

    [FieldOffset(8)]
    internal int ProgrammaticStreamSerializationAllowed;
}
