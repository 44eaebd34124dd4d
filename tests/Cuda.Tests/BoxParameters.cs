using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Cuda.Tests;

/// <summary>The parameters of hopper.cu's fetch_box; C++ rounds the size up to the map's alignment.</summary>
[StructLayout(LayoutKind.Sequential, Size = 192)]
internal struct BoxParameters
{
    internal CudaTensorMap Map;
    internal nint Output;
    internal uint X;
    internal uint Y;
}
