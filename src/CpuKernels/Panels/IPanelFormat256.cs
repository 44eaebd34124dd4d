using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>How 8 rows (half a panel) of a weight format become float32.</summary>
internal unsafe interface IPanelFormat256
{
    /// <summary>Bytes of a panel for one pair of inputs.</summary>
    static abstract int PairBytes { get; }

    /// <summary>Loads what 8 rows have for a pair of inputs.</summary>
    static abstract Vector256<uint> Load(byte* codes);

    /// <summary>The weights of the pair's first input, before the scale factor.</summary>
    static abstract Vector256<float> First(Vector256<uint> pair);

    /// <summary>The weights of the pair's second input, before the scale factor.</summary>
    static abstract Vector256<float> Second(Vector256<uint> pair);

    /// <summary>The scale factors of 8 rows.</summary>
    static abstract Vector256<float> Scale(byte* scales);
}
