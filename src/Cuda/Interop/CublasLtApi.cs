using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary>The calls of cuBLASLt that one matrix product takes. Every result is a <c>cublasStatus_t</c>, 0 for success.</summary>
internal static unsafe partial class CublasLtApi
{
    private const string Library = NativeLibraries.CublasLt;

    static CublasLtApi()
    {
        NativeLibraries.Register();
    }

    [LibraryImport(Library)]
    internal static partial int cublasLtCreate(out nint handle);

    [LibraryImport(Library)]
    internal static partial int cublasLtDestroy(nint handle);

    [LibraryImport(Library)]
    internal static partial nuint cublasLtGetVersion();

    [LibraryImport(Library)]
    internal static partial int cublasLtMatmulDescCreate(out nint description, int computeType, int scaleType);

    [LibraryImport(Library)]
    internal static partial int cublasLtMatmulDescDestroy(nint description);

    [LibraryImport(Library)]
    internal static partial int cublasLtMatmulDescSetAttribute(nint description, int attribute, void* value, nuint byteCount);

    [LibraryImport(Library)]
    internal static partial int cublasLtMatrixLayoutCreate(out nint layout, int type, ulong rows, ulong columns, long stride);

    [LibraryImport(Library)]
    internal static partial int cublasLtMatrixLayoutDestroy(nint layout);

    [LibraryImport(Library)]
    internal static partial int cublasLtMatmul(
        nint handle, nint description, float* alpha, nint a, nint layoutA, nint b, nint layoutB, float* beta, nint c, nint layoutC, nint d, nint layoutD,
        nint algorithm, nint workspace, nuint workspaceBytes, nint stream);
}
