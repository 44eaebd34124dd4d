namespace Moe.Plugins.Cuda;

/// <summary>cuBLAS, where it is installed: products of BF16 matrices.</summary>
public sealed unsafe class CudaBlas : IDisposable
{
    private const int NoTranspose = 0;
    private const int Transpose = 1;

    /// <summary><c>CUDA_R_16BF</c>, <c>CUDA_R_32F</c>, <c>CUBLAS_COMPUTE_32F</c> and <c>CUBLAS_GEMM_DEFAULT</c> of <c>library_types.h</c> and <c>cublas_api.h</c>.</summary>
    private const int BFloat16 = 14;
    private const int Float32 = 0;
    private const int ComputeFloat32 = 68;
    private const int DefaultAlgorithm = -1;

    private nint _handle;

    private CudaBlas(nint handle)
    {
        _handle = handle;
        Check(CublasApi.cublasGetVersion_v2(handle, out int version));
        Version = version;
    }

    /// <summary>The library's version as it states it, such as 130001.</summary>
    public int Version { get; }

    /// <summary>Starts cuBLAS in the current context; null where it is not installed.</summary>
    public static CudaBlas? TryCreate()
    {
        NativeLibraries.Register();
        return NativeLibraries.TryLoad(NativeLibraries.Cublas, path: null, out _) && CublasApi.cublasCreate_v2(out nint handle) == 0
            ? new CudaBlas(handle)
            : null;
    }

    /// <summary>Enqueues c = a · bᵀ of square BF16 matrices, summed in float32.</summary>
    /// <param name="size">Rows and columns.</param>
    /// <param name="a">Device address of a.</param>
    /// <param name="b">Device address of b.</param>
    /// <param name="c">Device address of c.</param>
    /// <param name="stream">The stream.</param>
    public void MultiplyBFloat16(int size, nint a, nint b, nint c, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        float one = 1f, zero = 0f;
        Check(CublasApi.cublasSetStream_v2(_handle, stream));
        Check(CublasApi.cublasGemmEx(
            _handle, Transpose, NoTranspose, size, size, size, &one, a, BFloat16, size, b, BFloat16, size, &zero, c, BFloat16, size, ComputeFloat32,
            DefaultAlgorithm));
    }

    /// <summary>Enqueues c = rows · weightᵀ, or c += rows · weightᵀ, of BF16 matrices with a float32 result; all rows are dense.</summary>
    /// <param name="count">Rows.</param>
    /// <param name="outputs">Rows of the weight.</param>
    /// <param name="inputs">Columns of rows and weight.</param>
    /// <param name="rows">Device address of BF16 [count, inputs].</param>
    /// <param name="weight">Device address of BF16 [outputs, inputs].</param>
    /// <param name="c">Device address of float32 [count, outputs].</param>
    /// <param name="adds">Whether it is added to what c has.</param>
    /// <param name="stream">The stream.</param>
    public void Multiply(int count, int outputs, int inputs, nint rows, nint weight, nint c, bool adds, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfNegative(outputs);
        ArgumentOutOfRangeException.ThrowIfNegative(inputs);
        // cuBLAS counts columns first: cᵀ [outputs, count] = weight · rowsᵀ.
        float one = 1f, kept = adds ? 1f : 0f;
        Check(CublasApi.cublasSetStream_v2(_handle, stream));
        Check(CublasApi.cublasGemmEx(
            _handle, Transpose, NoTranspose, outputs, count, inputs, &one, weight, BFloat16, inputs, rows, BFloat16, inputs, &kept, c, Float32, outputs,
            ComputeFloat32, DefaultAlgorithm));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_handle != 0)
        {
            _ = CublasApi.cublasDestroy_v2(_handle);
            _handle = 0;
        }
    }

    private static void Check(int status)
    {
        if (status != 0)
        {
            throw CudaException.NotLoaded("cuBLAS", $"cuBLAS failed with status {status}.");
        }
    }
}
