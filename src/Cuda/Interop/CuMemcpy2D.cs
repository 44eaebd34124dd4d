using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary><c>CUDA_MEMCPY2D_v2</c> (cuda.h): 128 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CuMemcpy2D
{
    /// <summary>Lets the driver tell host from device by the address itself.</summary>
    internal const uint UnifiedMemory = 4;

    internal nuint SourceX;
    internal nuint SourceY;
    internal uint SourceMemoryType;
    internal nint SourceHost;
    internal nint SourceDevice;
    internal nint SourceArray;
    internal nuint SourcePitch;
    internal nuint DestinationX;
    internal nuint DestinationY;
    internal uint DestinationMemoryType;
    internal nint DestinationHost;
    internal nint DestinationDevice;
    internal nint DestinationArray;
    internal nuint DestinationPitch;
    internal nuint WidthInBytes;
    internal nuint Height;
}
