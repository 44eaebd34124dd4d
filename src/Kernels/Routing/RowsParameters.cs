using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>RowsParameters</c> of <c>rows.cu</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RowsParameters
{
    public nint Source;
    public nint Target;
    public long SourceStride;
    public int Columns;
    public int SourceIsBf16;
}
