using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary>
/// A <c>CUtensorMap</c>: how the tensor memory accelerator (compute capability 9.0 and newer) finds a box of a tensor in global
/// memory. Opaque, 128 bytes, aligned to 64 in a kernel's parameter struct, where it is passed as <c>const __grid_constant__</c>.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = ByteCount)]
public unsafe struct CudaTensorMap
{
    /// <summary>The size in bytes.</summary>
    public const int ByteCount = 128;

    /// <summary>The alignment that CUDA wants of a tensor map, in bytes.</summary>
    public const int Alignment = 64;

    private const int MaxRank = 5;

    [InlineArray(ByteCount / sizeof(ulong))]
    private struct Words
    {
        private ulong _first;
    }

    private Words _words;

    /// <summary>Describes a tensor of which boxes are fetched whole. Elements beyond the tensor's sizes are read as zeros.</summary>
    /// <param name="dataType">What the elements are.</param>
    /// <param name="address">The device address, a multiple of 16.</param>
    /// <param name="sizes">The tensor's sizes in elements, innermost first; 1 to 5 of them.</param>
    /// <param name="strides">The bytes from one index to the next of each dimension but the innermost; multiples of 16.</param>
    /// <param name="box">The box's sizes in elements, innermost first, each at most 256.</param>
    /// <param name="swizzle">How the box lies in shared memory; the innermost box size in bytes must not exceed its width.</param>
    /// <param name="l2Promotion">The least that a fetch brings into L2.</param>
    /// <exception cref="CudaException">CUDA refuses the description; the message tells it.</exception>
    public static CudaTensorMap Tiled(
        CudaTensorMapDataType dataType,
        nint address,
        ReadOnlySpan<ulong> sizes,
        ReadOnlySpan<ulong> strides,
        ReadOnlySpan<uint> box,
        CudaTensorMapSwizzle swizzle = CudaTensorMapSwizzle.None,
        CudaTensorMapL2Promotion l2Promotion = CudaTensorMapL2Promotion.Bytes128)
    {
        ArgumentCheck.ThrowIfUndefined(dataType);
        ArgumentCheck.ThrowIfUndefined(swizzle);
        ArgumentCheck.ThrowIfUndefined(l2Promotion);
        ArgumentOutOfRangeException.ThrowIfZero(sizes.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(sizes.Length, MaxRank);
        ArgumentOutOfRangeException.ThrowIfNotEqual(strides.Length, sizes.Length - 1);
        ArgumentOutOfRangeException.ThrowIfNotEqual(box.Length, sizes.Length);
        CudaDriver.EnsureLoaded();

        // The driver writes only to an address that is a multiple of 64, which neither the stack nor the heap promises.
        byte* room = stackalloc byte[ByteCount + Alignment];
        byte* map = (byte*)(((nuint)room + Alignment - 1) & ~(nuint)(Alignment - 1));

        // Filled by hand: five constants in braces come by way of a managed object, and layers that make a map in each forward allocate nothing.
        uint* elementStrides = stackalloc uint[MaxRank];
        new Span<uint>(elementStrides, MaxRank).Fill(1);
        fixed (ulong* sizesPointer = sizes, stridesPointer = strides)
        fixed (uint* boxPointer = box)
        {
            int result = DriverApi.cuTensorMapEncodeTiled(
                map, dataType, (uint)sizes.Length, address, sizesPointer, stridesPointer, boxPointer, elementStrides,
                0, swizzle, l2Promotion, 0);
            return result == 0
                ? Unsafe.ReadUnaligned<CudaTensorMap>(map)
                : throw CudaException.FromDriver(
                    result,
                    nameof(DriverApi.cuTensorMapEncodeTiled),
                    $"The tensor is {dataType} at 0x{address:x}, sizes [{Join(sizes)}], strides [{Join(strides)}] bytes, "
                        + $"box [{Join(box)}], swizzle {swizzle}.");
        }
    }

    private static string Join<T>(ReadOnlySpan<T> values) => string.Join(", ", values.ToArray());
}
