using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary>The calls of cuBLAS that one matrix product takes. Every result is a <c>cublasStatus_t</c>, 0 for success.</summary>
internal static unsafe partial class CublasApi
{
    private const string Library = NativeLibraries.Cublas;

    static CublasApi()
    {
        NativeLibraries.Register();
    }

    [LibraryImport(Library)]
    internal static partial int cublasCreate_v2(out nint handle);

    [LibraryImport(Library)]
    internal static partial int cublasDestroy_v2(nint handle);

    [LibraryImport(Library)]
    internal static partial int cublasSetStream_v2(nint handle, nint stream);

    [LibraryImport(Library)]
    internal static partial int cublasGetVersion_v2(nint handle, out int version);

    [LibraryImport(Library)]
    internal static partial int cublasGemmEx(
        nint handle, int transposeA, int transposeB, int m, int n, int k, float* alpha, nint a, int typeA, int strideA, nint b, int typeB, int strideB,
        float* beta, nint c, int typeC, int strideC, int computeType, int algorithm);
}
