using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>BF16: a word holds the weights of a pair of inputs, the lower half the first. There are no scale factors.</summary>
internal readonly unsafe struct Bf16Format : IPanelFormat512, IPanelFormat128
{
    static int IPanelFormat512.PairsOfWord => 1;

    static int IPanelFormat128.PairsOfWord => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<float> IPanelFormat512.First(Vector512<uint> word) => (word << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<float> IPanelFormat512.Second(Vector512<uint> word) => (word & Vector512.Create(0xFFFF_0000u)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector512<uint> IPanelFormat512.Next(Vector512<uint> word) => word;

    static Vector512<float> IPanelFormat512.Scale(byte* scales) => Vector512<float>.One;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> IPanelFormat128.First(Vector128<uint> word) => (word << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> IPanelFormat128.Second(Vector128<uint> word) => (word & Vector128.Create(0xFFFF_0000u)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<uint> IPanelFormat128.Next(Vector128<uint> word) => word;

    static Vector128<float> IPanelFormat128.Scale(byte* scales) => Vector128<float>.One;
}
