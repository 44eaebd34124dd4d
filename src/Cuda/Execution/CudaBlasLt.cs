namespace Moe.Plugins.Cuda;

/// <summary>cuBLASLt, where it is installed: one product of square FP8 matrices, to measure what a device can do.</summary>
public sealed unsafe class CudaBlasLt : IDisposable
{
    /// <summary><c>CUDA_R_32F</c>, <c>CUDA_R_16BF</c>, <c>CUDA_R_8F_E4M3</c> and <c>CUBLAS_COMPUTE_32F</c> of <c>library_types.h</c> and <c>cublas_api.h</c>.</summary>
    private const int Float32 = 0;
    private const int BFloat16 = 14;
    private const int E4M3 = 28;
    private const int ComputeFloat32 = 68;

    /// <summary><c>CUBLASLT_MATMUL_DESC_TRANSA</c> and <c>CUBLASLT_MATMUL_DESC_FAST_ACCUM</c> of <c>cublasLt.h</c>.</summary>
    private const int TransposeOfA = 3;
    private const int FastAccumulation = 25;

    private readonly ulong _size;
    private nint _handle;
    private nint _description;
    private nint _operand;
    private nint _result;

    private CudaBlasLt(nint handle, int size)
    {
        _handle = handle;
        _size = (ulong)size;
    }

    /// <summary>The library's version as it states it, such as 130001.</summary>
    public static long Version => (long)CublasLtApi.cublasLtGetVersion();

    /// <summary>Starts cuBLASLt in the current context; null where it is not installed, or has no such product for the device.</summary>
    /// <param name="size">Rows and columns, a multiple of 16.</param>
    public static CudaBlasLt? TryCreate(int size)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        NativeLibraries.Register();
        if (!NativeLibraries.TryLoad(NativeLibraries.CublasLt, path: null, out _) || CublasLtApi.cublasLtCreate(out nint handle) != 0)
        {
            return null;
        }

        var blas = new CudaBlasLt(handle, size);
        if (blas.Prepare())
        {
            return blas;
        }

        blas.Dispose();
        return null;
    }

    /// <summary>Enqueues c = a · bᵀ of E4M3 matrices; c is BF16. Only the matrix instruction sums, which is fastest.</summary>
    /// <param name="a">Device address of a.</param>
    /// <param name="b">Device address of b.</param>
    /// <param name="c">Device address of c.</param>
    /// <param name="stream">The stream.</param>
    /// <returns>Whether it was enqueued: the device may have no FP8.</returns>
    public bool TryMultiplyE4M3(nint a, nint b, nint c, nint stream)
    {
        float one = 1f, zero = 0f;
        return CublasLtApi.cublasLtMatmul(
            _handle, _description, &one, a, _operand, b, _operand, &zero, c, _result, c, _result, 0, 0, 0, stream) == 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_handle == 0)
        {
            return;
        }

        _ = _result != 0 ? CublasLtApi.cublasLtMatrixLayoutDestroy(_result) : 0;
        _ = _operand != 0 ? CublasLtApi.cublasLtMatrixLayoutDestroy(_operand) : 0;
        _ = _description != 0 ? CublasLtApi.cublasLtMatmulDescDestroy(_description) : 0;
        _ = CublasLtApi.cublasLtDestroy(_handle);
        _handle = 0;
    }

    private bool Prepare()
    {
        int transpose = 1;
        sbyte fast = 1;
        return CublasLtApi.cublasLtMatmulDescCreate(out _description, ComputeFloat32, Float32) == 0
            && CublasLtApi.cublasLtMatmulDescSetAttribute(_description, TransposeOfA, &transpose, sizeof(int)) == 0
            && CublasLtApi.cublasLtMatmulDescSetAttribute(_description, FastAccumulation, &fast, sizeof(sbyte)) == 0
            && CublasLtApi.cublasLtMatrixLayoutCreate(out _operand, E4M3, _size, _size, (long)_size) == 0
            && CublasLtApi.cublasLtMatrixLayoutCreate(out _result, BFloat16, _size, _size, (long)_size) == 0;
    }
}
