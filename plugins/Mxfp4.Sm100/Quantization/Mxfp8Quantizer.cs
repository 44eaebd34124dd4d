using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>
/// BF16 rows to MXFP8: E4M3 codes and one E8M0 scale for each 32 values of a row, padded in the same launch. A block's scale is
/// 2^ceil(log2(amax / 448)), amax being its largest magnitude; a code is value / scale rounded to nearest even and saturated at ±448, so
/// that infinity becomes 448 times the scale 2^127, and NaN stays NaN and counts for no amax. Blocks whose scale byte is 0 (amax up to
/// 1.75 · 2^−119) become zeros that keep their signs. This is FlashInfer's <c>mxfp8_quantize</c>, but for NaN, of which it makes a number.
/// </summary>
/// <remarks>Thread-safe. Allocates nothing after construction.</remarks>
public sealed class Mxfp8Quantizer
{
    private const int Threads = 256;
    private const int PiecesPerBlock = 4 * Threads;
    private const int PieceSize = 8;

    private readonly CudaFunction _aligned;
    private readonly CudaFunction _unaligned;
    private readonly CudaFunction _round;
    private readonly KernelLibrary _library;
    private readonly MoeDevice _device;

    /// <summary>Gets the kernels.</summary>
    /// <param name="library">The backend's kernels; its context must be current.</param>
    /// <exception cref="MoeException">They do not compile, or there is no compiler.</exception>
    public Mxfp8Quantizer(KernelLibrary library)
    {
        ArgumentNullException.ThrowIfNull(library);
        _aligned = library.Get(Unit, "mxfp8_quantize");
        _unaligned = library.Get(Unit, "mxfp8_quantize_unaligned");
        _round = library.Get(Unit, "mxfp8_round", besideProducts: true);
        _library = library;
        _device = MoeDevice.Cuda(library.Context.Device.Ordinal);
    }

    /// <summary>The source of the kernels.</summary>
    public static KernelUnit Unit { get; } = new("quantize.cu");

    /// <summary>Enqueues the quantisation of some rows.</summary>
    /// <param name="input">[tokens, hidden] BF16 on the device, of any row stride. What lies behind a row is not read.</param>
    /// <param name="codes">[tokens, <paramref name="paddedHidden"/>] bytes, 8-byte aligned: E4M3, zeros from hidden on.</param>
    /// <param name="scales">
    /// <see cref="Mxfp8Layout.ScaleBytes"/> bytes: E8M0, zeros for blocks behind hidden. A block that hidden ends within has a scale.
    /// </param>
    /// <param name="paddedHidden">Codes of a row: a multiple of 32, at least hidden.</param>
    /// <param name="order">How the scales lie.</param>
    /// <param name="stream">The stream. Its context must be current.</param>
    /// <exception cref="ArgumentException">A tensor is not as described.</exception>
    /// <exception cref="CudaException">The launch was refused.</exception>
    public void Enqueue(
        in MoeTensorView input, nint codes, nint scales, int paddedHidden, Mxfp8ScaleOrder order = Mxfp8ScaleOrder.Linear, nint stream = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(paddedHidden);
        ArgumentCheck.ThrowIfUndefined(order);
        Check(input, codes, paddedHidden);
        if (input.Rows == 0)
        {
            return;
        }

        var parameters = new Parameters
        {
            Source = input.Address,
            Codes = codes,
            Scales = scales,
            SourceStride = input.RowStride,
            Tokens = input.Rows,
            Hidden = input.Columns,
            Padded = paddedHidden,
            ScaleColumns = Mxfp8Layout.ScaleColumns(paddedHidden, order),
            ScaleRows = Mxfp8Layout.ScaleRows(input.Rows, order),
            Swizzled = order == Mxfp8ScaleOrder.Swizzled128x4 ? 1 : 0,
        };
        int pieces = checked(parameters.ScaleRows * parameters.ScaleColumns * (Mxfp4Layout.BlockSize / PieceSize));
        CudaLaunchConfig launch = _library.Launch((pieces + PiecesPerBlock - 1) / PiecesPerBlock, Threads);
        bool isAligned = input.Address % 16 == 0 && input.RowStride % 16 == 0 && input.Columns % PieceSize == 0;
        (isAligned ? _aligned : _unaligned).Launch(launch, stream, in parameters);
    }

    /// <summary>Enqueues the quantisation of what the experts read, with scales in linear order.</summary>
    internal void Enqueue(in ExpertRows rows, int hidden, nint codes, nint scales, int paddedHidden, nint stream) => Enqueue(
        new MoeTensorView(rows.Address, _device, MoeElementType.BFloat16, rows.Tokens, hidden, rows.Stride * sizeof(ushort)),
        codes,
        scales,
        paddedHidden,
        Mxfp8ScaleOrder.Linear,
        stream);

    /// <summary>Enqueues the rounding of rows to the BF16 numbers that their codes and scales stand for.</summary>
    /// <param name="rows">BF16 rows, 16-byte aligned.</param>
    /// <param name="hidden">Values of a row, a multiple of 32.</param>
    /// <param name="target">[tokens, hidden] BF16.</param>
    /// <param name="stream">The stream.</param>
    internal ExpertRows Round(in ExpertRows rows, int hidden, nint target, nint stream)
    {
        var parameters = new Parameters
        {
            Source = rows.Address,
            Codes = target,
            SourceStride = rows.Stride * sizeof(ushort),
            Tokens = rows.Tokens,
            Hidden = hidden,
            Padded = hidden,
        };
        int pieces = rows.Tokens * (hidden / PieceSize);
        _round.Launch(_library.Launch((pieces + Threads - 1) / Threads, Threads), stream, in parameters);
        return new ExpertRows(target, hidden, rows.Tokens);
    }

    private static void Check(in MoeTensorView input, nint codes, int paddedHidden)
    {
        if (input.ElementType != MoeElementType.BFloat16 || input.Device.Kind != MoeDeviceKind.Cuda || input.Planes != 1)
        {
            throw new ArgumentException($"{input.Planes} planes of {input.ElementType} on {input.Device}; a BF16 matrix on a CUDA device is expected.", nameof(input));
        }

        if (input.Address % sizeof(ushort) != 0 || input.RowStride % sizeof(ushort) != 0)
        {
            throw new ArgumentException($"Rows of BF16 begin at odd bytes: address 0x{input.Address:x}, stride {input.RowStride}.", nameof(input));
        }

        if (paddedHidden < input.Columns || paddedHidden % Mxfp4Layout.BlockSize != 0)
        {
            throw new ArgumentException($"Padded hidden is {paddedHidden}; a multiple of 32 that is at least {input.Columns} is expected.", nameof(paddedHidden));
        }

        if (codes % PieceSize != 0)
        {
            throw new ArgumentException($"The codes are at 0x{codes:x}; a multiple of 8 is expected.", nameof(codes));
        }
    }

    /// <summary>As in <c>quantize.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Parameters
    {
        public nint Source;
        public nint Codes;
        public nint Scales;
        public long SourceStride;
        public int Tokens;
        public int Hidden;
        public int Padded;
        public int ScaleColumns;
        public int ScaleRows;
        public int Swizzled;
    }
}
