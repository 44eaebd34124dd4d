using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>CopyRowsParameters</c> of <c>copy_rows.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CopyRowsParameters
{
    public nint Source;
    public nint Target;
    public long SourceStride;
    public long TargetStride;
    public long RowBytes;
    public long Rows;
}
