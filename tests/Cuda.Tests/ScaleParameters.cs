using System.Runtime.InteropServices;

namespace Cuda.Tests;

/// <summary>The parameters of basic.cu's scale.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ScaleParameters
{
    internal nint Input;
    internal nint Output;
    internal float Factor;
    internal uint Count;
}
