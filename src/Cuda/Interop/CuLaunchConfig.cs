using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary><c>CUlaunchConfig</c> (cuda.h): 56 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct CuLaunchConfig
{
    internal uint GridX;
    internal uint GridY;
    internal uint GridZ;
    internal uint BlockX;
    internal uint BlockY;
    internal uint BlockZ;
    internal uint SharedBytes;
    internal nint Stream;
    internal CuLaunchAttribute* Attributes;
    internal uint AttributeCount;
}
