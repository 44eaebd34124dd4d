using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>BF16: four bytes a row hold the weights of a pair of inputs, the lower half the first. There are no scale factors.</summary>
internal readonly unsafe struct Bf16Format : IPanelFormat512, IPanelFormat256, IPanelFormat128
{
    private const int RowPairBytes = 4;

    static int IPanelFormat512.PairBytes => PanelKernel.Rows * RowPairBytes;

    static int IPanelFormat256.PairBytes => PanelKernel.Rows * RowPairBytes;

    static int IPanelFormat128.PairBytes => PanelKernel.Rows * RowPairBytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<uint> IPanelFormat512.Load(byte* codes) => Vector512.Load((uint*)codes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<float> IPanelFormat512.First(Vector512<uint> pair) => (pair << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<float> IPanelFormat512.Second(Vector512<uint> pair) => (pair & Vector512.Create(0xFFFF_0000u)).AsSingle();

    static Vector512<float> IPanelFormat512.Scale(byte* scales) => Vector512<float>.One;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<uint> IPanelFormat256.Load(byte* codes) => Vector256.Load((uint*)codes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> IPanelFormat256.First(Vector256<uint> pair) => (pair << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> IPanelFormat256.Second(Vector256<uint> pair) => (pair & Vector256.Create(0xFFFF_0000u)).AsSingle();

    static Vector256<float> IPanelFormat256.Scale(byte* scales) => Vector256<float>.One;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<uint> IPanelFormat128.Load(byte* codes, int quarter) => Vector128.Load((uint*)codes + (quarter * 4));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> IPanelFormat128.First(Vector128<uint> pair) => (pair << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> IPanelFormat128.Second(Vector128<uint> pair) => (pair & Vector128.Create(0xFFFF_0000u)).AsSingle();

    static Vector128<float> IPanelFormat128.Scale(byte* scales) => Vector128<float>.One;
}
